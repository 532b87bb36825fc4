"""Grafana dashboards as Python data: `panels` has their parts, `operator` and `service` one dashboard each."""
