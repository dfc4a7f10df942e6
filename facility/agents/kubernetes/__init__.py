"""Jobs of a Kubernetes cluster: told to the service, held and released as it orders, by `spec.suspend` or, where Kueue has them, `spec.active`."""
