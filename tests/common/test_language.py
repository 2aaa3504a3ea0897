"""A text's language is told by its script, and names in another script do not change it."""

import pytest

from common.language import family_of, language_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What is the annual fee?", "en"),
        ("What is the annual fee of the Shiosai (潮騒) Gold Card?", "en"),
        ("Is the シオサイ card still free of charge for all of my family members?", "en"),
        ("年会費はいくらですか。", "ja"),
        ("Harbour Gold Card の年会費は？", "ja"),
        ("Harbour Gold Card 的年費是多少？", "zh-TW"),
        ("Anchor浮动利率房贷的利率是多少？", "zh-CN"),
        ("関連商品「すくすく」は日本の銀行が個人のお客様向けに提供", "ja"),
        ("", "en"),
    ],
)
def test_names_in_another_script_do_not_change_the_language(text: str, expected: str) -> None:
    assert language_of(text) == expected


@pytest.mark.parametrize(
    ("lang", "family"), [("zh-TW", "zh"), ("zh-CN", "zh"), ("ja", "ja"), ("en-GB", "en"), ("fr", "en")]
)
def test_languages_that_share_their_terms_are_one_family(lang: str, family: str) -> None:
    assert family_of(lang) == family
