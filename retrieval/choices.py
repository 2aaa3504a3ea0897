"""How each knowledge base is cut and searched: what `[[bases]]` says, else the defaults."""

from collections.abc import Sequence

from common.principal import Principal
from common.settings import Base
from retrieval.cut import DEFAULT, Strategy
from retrieval.fuse import CALIBRATED, Weights
from retrieval.ledger.services import DEFAULT_TENANT


def strategy_of(base: Base) -> Strategy:
    return Strategy(base.strategy, base.size, base.overlap)


def weights_of(base: Base) -> Weights:
    return Weights(base.dense_en, base.dense_ja, base.dense_zh, base.dense_across)


class Choices:
    """The settings' knowledge bases belong to the default tenant, as its sources do."""

    def __init__(self, chosen: Sequence[Base] = ()) -> None:
        self._chosen = {base.name: base for base in chosen}

    def strategy(self, principal: Principal, knowledge: str) -> Strategy:
        """The strategy that cuts all documents of this knowledge base."""
        base = self._of(principal, knowledge)
        return strategy_of(base) if base else DEFAULT

    def weights(self, principal: Principal, knowledge: Sequence[str]) -> Weights:
        """The weights for a search in these knowledge bases: of several, their mean."""
        several = [weights_of(base) if (base := self._of(principal, name)) else CALIBRATED for name in knowledge]
        return Weights.mean(several) if several else CALIBRATED

    def _of(self, principal: Principal, knowledge: str) -> Base | None:
        return self._chosen.get(knowledge) if principal.tenant == DEFAULT_TENANT else None
