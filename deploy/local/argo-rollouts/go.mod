// Only a pin: the controller is built from the module's own source, with the versions of its own go.mod.
module memroll.dev/local/argo-rollouts

go 1.23.4

require github.com/argoproj/argo-rollouts v1.8.3
