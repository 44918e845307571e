.PHONY: demo demo-rollout up down test lint laws crds bench bench-operator accuracy scale torture keda clean

demo up down: ; @sh dev/bootstrap.sh demo && exec .venv/bin/python -m dev.$@ $(if $(DATA),--data $(DATA))
demo-rollout: ; @sh dev/bootstrap.sh demo && exec .venv/bin/python -m dev.demo.rollout
test: ; @sh dev/bootstrap.sh && exec .venv/bin/python -m dev.check
lint: ; @sh dev/bootstrap.sh && exec .venv/bin/python -m dev.check --lint
laws: ; @sh dev/bootstrap.sh && HYPOTHESIS_PROFILE=night exec .venv/bin/pytest -q -n 2 --timeout=7200 -m "not integration and not e2e and not keda"
bench: ; @sh dev/bootstrap.sh && exec .venv/bin/python -m dev.verify.bench $(if $(QUICK),--quick)
bench-operator: ; @sh dev/bootstrap.sh && exec .venv/bin/python -m dev.verify.operator_load $(if $(DETECTORS),--detectors $(DETECTORS)) $(if $(ROLLOUTS),--rollouts $(ROLLOUTS)) $(if $(CHURN),--churn $(CHURN))
accuracy: ; @sh dev/bootstrap.sh && exec .venv/bin/python -m dev.verify.accuracy $(if $(DATA),--data $(DATA)) $(if $(QUICK),--quick)
scale: ; @sh dev/bootstrap.sh && exec .venv/bin/python -m dev.verify.scale
torture: ; @sh dev/bootstrap.sh && exec .venv/bin/python -m dev.verify.torture $(if $(N),--schedules $(N)) $(if $(SEED),--seed $(SEED)) $(if $(JOBS),--jobs $(JOBS))
keda: ; @sh dev/bootstrap.sh && exec .venv/bin/pytest -v -s -m keda tests/operator/test_keda.py
crds: ; @sh dev/bootstrap.sh && exec .venv/bin/python -m dev.crds
clean: down ; rm -rf .venv .run .mypy_cache .ruff_cache .pytest_cache .hypothesis
