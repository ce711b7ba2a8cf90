//go:build programs

// Package conformance names the programs that scripts/conformance builds, so that go.mod keeps what they need.
package conformance

import (
	_ "go.etcd.io/etcd/server/v3/etcdmain"
	_ "k8s.io/kubernetes/cmd/kube-apiserver/app"
	_ "k8s.io/kubernetes/cmd/kubectl"
)
