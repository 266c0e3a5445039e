"""${message}.

Why, and what was measured.
"""

from __future__ import annotations

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None

LOSSES: dict[str, str] = {}
"""What a downgrade deletes: a description of it, and the statement that counts it."""


def upgrade() -> None:
    ${upgrades if upgrades else "..."}


def downgrade() -> None:
    ${downgrades if downgrades else "..."}
