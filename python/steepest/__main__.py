from steepest.cli import main

raise SystemExit(main())
