"""Whether a question is about what an assistant is for.

A scope is a few words, and likeness to a few words alone tells little: every polite question is a little like them.
Likeness to the scope *against* likeness to what people ask of any assistant tells much (`benchmarks/conversation.py`):
a question is outside where one of these subjects is clearly nearer, and no evidence speaks strongly for it. A subject
that is like the scope itself, as illness is to a clinic's, is left out. Cards and mortgages of one
bank are not told apart so: give two such assistants knowledge bases of their own.
"""

import threading
from collections.abc import Sequence

import numpy as np

from retrieval.embed import Embedder, Vectors

NEARER = 0.03
"""By how much of the cosine a subject must be nearer than the scope. Calibrated with the bundled embedder."""
STRONG = 0.7
"""Evidence of this confidence speaks for a question, whatever its subject."""
_LIKE_THE_SCOPE = 1.5
"""Standard deviations above the mean likeness of all subjects to a scope."""
_MOST = 64

SUBJECTS = (
    ("the weather and its forecast", "天気と天気予報", "天氣與氣象預報"),
    ("a poem, a story, a song or a joke", "詩や物語、歌、冗談", "詩、故事、歌曲或笑話"),
    ("cooking and recipes", "料理とレシピ", "烹飪與食譜"),
    ("sports, teams and results", "スポーツの試合と結果", "體育比賽與結果"),
    ("writing or explaining program code", "プログラムのコードを書く", "撰寫程式碼"),
    ("politics, parties and elections", "政治と選挙", "政治與選舉"),
    ("history and historical persons", "歴史と歴史上の人物", "歷史與歷史人物"),
    ("geography, countries and capitals", "地理、国と首都", "地理、國家與首都"),
    ("mathematics and homework", "数学と宿題", "數學與作業"),
    ("films, music, books and games", "映画、音楽、本、ゲーム", "電影、音樂、書籍與遊戲"),
    ("celebrities and their lives", "芸能人", "名人"),
    ("travel, sights, hotels and restaurants", "旅行、観光、ホテル、レストラン", "旅遊、景點、飯店與餐廳"),
    ("illness, symptoms and medicine", "病気、症状、薬", "疾病、症狀與藥物"),
    ("law suits and legal advice", "訴訟と法律相談", "訴訟與法律諮詢"),
    ("love, family and friends", "恋愛、家族、友人", "愛情、家庭與朋友"),
    ("translating a text", "文章の翻訳", "翻譯文章"),
    ("philosophy and religion", "哲学と宗教", "哲學與宗教"),
    ("animals, pets and plants", "動物、ペット、植物", "動物、寵物與植物"),
    ("clothes, fashion and beauty", "服、ファッション、美容", "服裝、時尚與美容"),
    ("today's news", "今日のニュース", "今天的新聞"),
    ("physics, chemistry, biology and space", "物理、化学、生物、宇宙", "物理、化學、生物與太空"),
    ("horoscopes and fortune telling", "星占いと占い", "星座與算命"),
    ("cars, trains and traffic", "自動車、電車、交通", "汽車、火車與交通"),
    ("computers, phones and the internet", "パソコン、スマートフォン、インターネット", "電腦、手機與網路"),
    ("sports training, diet and health", "運動、ダイエット、健康", "運動、減肥與健康"),
    ("school, study and jobs", "学校、勉強、仕事", "學校、讀書與工作"),
    ("the assistant itself, what it is and who made it", "あなた自身のこと、誰が作ったか", "你自己是什麼、誰製作了你"),
    ("writing an essay, a letter or a mail", "作文や手紙、メールを書く", "寫作文、信件或電子郵件"),
)
"""What people ask of any assistant, each in English, Japanese and Chinese."""


class Scopes:
    """Compares questions with scopes; each scope is embedded once. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subjects: dict[str, Vectors] = {}
        self._known: dict[tuple[str, tuple[str, ...]], tuple[Vectors, Vectors]] = {}

    def outside(self, embedder: Embedder, asked: Vectors, scope: Sequence[str], confidence: float) -> bool:
        """Whether the question of vector `asked` is outside `scope`, its best evidence having this `confidence`."""
        return bool(scope) and confidence < STRONG and self.margin(embedder, asked, scope) < -NEARER

    def margin(self, embedder: Embedder, asked: Vectors, scope: Sequence[str]) -> float:
        """How much nearer the question is to the scope than to any other subject, as a difference of cosines."""
        own, others = self.known(embedder, scope)
        return float((own @ asked).max() - (others @ asked).max())

    def known(self, embedder: Embedder, scope: Sequence[str]) -> tuple[Vectors, Vectors]:
        """The scope's vectors and its rivals', embedded now where they were not: the first takes about a second."""
        key = embedder.fingerprint, tuple(scope)
        with self._lock:
            if key not in self._known:
                if len(self._known) >= _MOST:
                    self._known.clear()
                self._known[key] = self._embedded(embedder, key[1])
            return self._known[key]

    def _embedded(self, embedder: Embedder, scope: tuple[str, ...]) -> tuple[Vectors, Vectors]:
        """The scope's vectors, and those of the subjects that are not the scope's own."""
        own = np.asarray(embedder.passages(list(scope)))
        if embedder.fingerprint not in self._subjects:
            texts = [text for subject in SUBJECTS for text in subject]
            self._subjects[embedder.fingerprint] = np.asarray(embedder.passages(texts))
        subjects = self._subjects[embedder.fingerprint].reshape(len(SUBJECTS), -1, own.shape[1])
        like = np.einsum("slv,ov->slo", subjects, own).max(axis=(1, 2))
        others = subjects[like <= like.mean() + _LIKE_THE_SCOPE * like.std()]
        return own, others.reshape(-1, own.shape[1])
