# The commands of the project. `make demo` and `make test` are the two that a newcomer needs.
VENV ?= .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready

NAME ?= default
.PHONY: fuzz help test-takeover test-slow test-demo test-docs test-fuzz venv image pins audit unit lint e2e test test-all test-providers test-observe test-standby test-install test-ui test-gitops catalogue prove mutate rules sandbox sandbox-down bench beside demo demo-down docs clean test-terminal pictures
help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

$(READY): pyproject.toml constraints.txt
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

venv: $(READY) ## the virtual environment

# Tests of the shell meet real sockets and clocks: one that fails on a busy machine is run once more, and named (-r R). It is a defect.
unit: $(READY) ## unit and property tests
	$(PY) -m pytest -q -n 2 --reruns 1 -r R -m "not slow" tests

lint: $(READY) ## ruff and mypy --strict
	$(VENV)/bin/ruff check flaggerpy tests e2e release
	$(VENV)/bin/mypy flaggerpy tests e2e release

e2e: $(READY) ## the core of the end-to-end tests, on a sandbox of their own
	$(PY) -m e2e.sandbox with -- sh e2e/core/run.sh $(abspath $(PY))

test: lint unit e2e ## everything that proves a commit

test-all: test ## and what is slow
	$(PY) -m pytest -q -m slow tests || [ $$? -eq 5 ]
	$(MAKE) test-slow
	$(PY) -m e2e.sandbox with -- $(abspath $(PY)) -m pytest --reruns 1 -r aR e2e/catalogue
	$(PY) -m e2e.sandbox with -- sh e2e/disorder/run.sh $(abspath $(PY)) all
	$(PY) -m e2e.sandbox with --with traefik --with keda -- sh e2e/providers/run.sh $(abspath $(PY))
	$(MAKE) test-takeover
	$(PY) -m pytest -r aR e2e/lifecycle

test-providers: $(READY) ## the suites of single providers, on a sandbox of their own (ARGS=e2e/providers/test_nginx.py: one of them)
	$(PY) -m pytest -q -m slow tests/routers
	$(PY) -m e2e.sandbox with --with traefik --with keda -- sh e2e/providers/run.sh $(abspath $(PY)) $(ARGS)
	$(if $(ARGS),,$(PY) -m e2e.suites passed providers)

test-observe: $(READY) ## alerts by promtool, the dashboard on a real Prometheus, traces, events as kubectl tells them (ARGS=e2e/observe/test_alerts.py)
	$(PY) -m e2e.sandbox with --with promtool --with prometheus-operator --with helm -- $(abspath $(PY)) -m pytest --reruns 1 -r aR --durations 10 $(or $(ARGS),e2e/observe)
	$(if $(ARGS),,$(PY) -m e2e.suites passed observe)

test-terminal: $(READY) ## the command on real terminals: live views, their end, completion in bash, zsh and fish (ARGS=e2e/terminal/test_live.py)
	which zsh fish tmux > /dev/null || { apt-get update -q && apt-get install -q -y zsh fish tmux; }
	$(if $(ARGS),,$(PY) -m pytest -q -m "slow or not slow" tests/cli/test_completing.py)
	$(PY) -m e2e.sandbox with -- $(abspath $(PY)) -m pytest -r aR --durations 10 $(or $(ARGS),e2e/terminal)
	$(if $(ARGS),,$(PY) -m e2e.suites passed terminal)

test-standby: $(READY) ## replicas, namespaces and shards: who takes over, and what a late write changes (ARGS=e2e/standby/test_fencing.py)
	$(PY) -m e2e.sandbox with -- sh e2e/standby/run.sh $(abspath $(PY)) $(ARGS)
	$(if $(ARGS),,$(PY) -m e2e.suites passed standby)

WITH_GITOPS := --with flux --with flux-source --with argo --with argo-judge --with kstatus --with helm
test-gitops: $(READY) ## Argo CD, Flux and Helm beside releases, on a sandbox of their own (ARGS=e2e/gitops/test_flux.py: one of them)
	$(PY) -m e2e.sandbox with $(WITH_GITOPS) -- $(abspath $(PY)) -m pytest -n 3 --dist loadfile --reruns 1 -r aR --durations 10 $(or $(ARGS),e2e/gitops)
	$(if $(ARGS),,$(PY) -m e2e.suites passed gitops)

test-takeover: $(READY) ## twenty Canaries of a live Flagger in every phase, taken over under load, and given back
	$(PY) -m e2e.sandbox with --with flagger -- $(abspath $(PY)) -m pytest -r aR --durations 10 -m slow e2e/takeover $(ARGS)
	$(if $(ARGS),,$(PY) -m e2e.suites passed takeover)

test-slow: $(READY) ## what takes minutes of the core of the end-to-end tests (ARGS="-k configs": some of it)
	$(PY) -m e2e.sandbox with -- sh e2e/core/slow.sh $(abspath $(PY)) $(ARGS)
	$(if $(ARGS),,$(PY) -m e2e.suites passed slow)

test-demo: $(READY) ## the demo from beginning to end, and nothing left of it
	$(PY) -m e2e.demo || { $(PY) -m e2e.demo down; exit 1; }
	$(PY) -m e2e.demo down
	$(PY) -m e2e.suites passed demo

test-docs: docs ## the docs as a site
	$(PY) -m e2e.suites passed docs

test-fuzz: fuzz ## as many specs and answers as docs/security.md tells
	$(if $(ARGS),,$(PY) -m e2e.suites passed fuzz)

catalogue: $(READY) ## every way in which pods fail, on a real kubelet: a table, and docs/failures.md (ARGS="PATTERN ...": some rows)
	$(PY) -m e2e.catalogue --write $(ARGS)

# the release machine explored, killed at every write and played at random: python -m tests.model --help; ARGS="--depth 1" is quick
prove: $(READY) ## model checking, crash points, random histories and disorder, with figures
	$(PY) -m tests.prove $(ARGS)

fuzz: $(READY) ## specs and servers' answers that nobody would write in good faith (ARGS="--specs 1000 --seed 2")
	$(PY) -m tests.security $(ARGS)

mutate: $(READY) ## mutmut on the core; what survives unexplained (ARGS="--sample 500": some of its mutants, in half an hour)
	$(VENV)/bin/pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev,mutate]'
	$(PY) -m tests.mutations.tool $(ARGS)

rules: $(READY) ## each rule of the end-to-end tests is taken out of a copy, and its test must fail (ARGS="'NAME' ...": some rules)
	$(PY) -m e2e.sandbox with --with traefik --with keda --with flagger --with flux --with flux-source --with argo-judge -- $(abspath $(PY)) -m e2e.rules $(ARGS)

sandbox: $(READY) ## boot a real cluster to play with (NAME=default)
	$(PY) -m e2e.sandbox up --name $(NAME)

sandbox-down: $(READY) ## take it down and leave nothing
	$(PY) -m e2e.sandbox down --name $(NAME)

test-ui: $(READY) ## the web page in a real browser, on a sandbox of its own (ARGS="-k keys": some tests)
	$(VENV)/bin/pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev,ui]'
	$(PY) -m e2e.ui.install
	$(PY) -m e2e.sandbox with -- $(abspath $(PY)) -m pytest -r aR --reruns 1 --durations 10 e2e/ui $(ARGS)
	$(if $(ARGS),,$(PY) -m e2e.suites passed ui)

test-install: $(READY) ## the chart on a sandbox of its own: installed, upgraded (also from Flagger's own chart, and back), taken away
	$(VENV)/bin/pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev,release]'
	$(PY) -m release.image
	$(PY) -m e2e.sandbox with --with helm --with flagger --with flagger-chart --with wget -- $(abspath $(PY)) -m pytest -r aR --durations 10 e2e/install $(ARGS)
	$(if $(ARGS),,$(PY) -m e2e.suites passed install)

# as a variable: make bench ARGS="--quick --only idle"
bench: $(READY) ## flaggerpy beside Flagger 1.44 in one cluster, a table of figures (writes docs/benchmarks.md and its picture)
	$(VENV)/bin/pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev,bench]'
	$(PY) -m e2e.bench $(ARGS)

beside: $(READY) ## the same releases by Flagger 1.44 and by flaggerpy, and every difference (writes docs/differences-from-flagger.md)
	$(PY) -m e2e.beside $(ARGS)

image: $(READY) ## flaggerpy's OCI image and its bill of materials, in build/image (docs/image.md)
	$(PY) -m release.image --out build/image

pins: $(READY) ## what the image is made of, pinned anew: release/requirements.txt, builder.txt, debian.txt
	$(PY) -m release.pins

audit: $(READY) ## known holes in the Python packages of the image (pip-audit; left out with a word where its data cannot be reached)
	$(PY) -m release.audit

demo: $(READY) ## six releases on a real cluster under real load (PROVIDER=traefik: by another router; CONTEXT=name: elsewhere)
	$(PY) -m e2e.demo

demo-down: $(READY) ## take the demo away and leave nothing
	$(PY) -m e2e.demo down

pictures: $(READY) ## the pictures of the docs, from real releases in a sandbox (ARGS=terminal: those of the command; page: the web page's)
	$(VENV)/bin/pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev,ui]'
	$(PY) -m e2e.ui.install
	$(PY) -m e2e.sandbox with -- $(abspath $(PY)) -m e2e.pictures $(ARGS)

docs: $(READY) ## the docs as a site, checked strictly, in build/site (python -m http.server -d build/site shows it)
	$(VENV)/bin/pip install -q --disable-pip-version-check -c constraints.txt -e '.[docs]'
	$(PY) docs/_site/mermaid.py
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --quiet

clean: ## the virtual environment and what tools left in the tree
	rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis .coverage build dist *.egg-info
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
