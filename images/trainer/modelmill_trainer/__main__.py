"""`python -m modelmill_trainer`."""

from modelmill_trainer.cli import main

raise SystemExit(main())
