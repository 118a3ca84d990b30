"""`python -m ml_containerize`."""

from ml_containerize.cli import main

raise SystemExit(main())
