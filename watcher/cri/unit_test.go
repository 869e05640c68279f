package cri

import (
	"strings"
	"testing"
)

// TestReadCalls holds the list of calls to such as read: a runtime's socket lets anybody
// who may open it start and kill.
func TestReadCalls(t *testing.T) {
	reads := map[string]bool{"Version": true, "ListContainers": true, "ContainerStatus": true, "PodSandboxStatus": true, "Subscribe": true, "ListContainerStats": true, "ImageFsInfo": true, "ListImages": true}
	for _, call := range readCalls {
		name := call[strings.LastIndex(call, "/")+1:]
		if !reads[name] {
			t.Errorf("%s is called: does it only read?", call)
		}
		if name == "GetContainerEvents" {
			t.Errorf("%s takes other subscribers' events on containerd 1.7, and stops 2.x while it is not read", call)
		}
	}
}
