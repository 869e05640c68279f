package receiver

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/notify"
	"github.com/oomwatch/oomwatch/render"
)

// Where a pod finds its service account's token and the API server's authority. The
// kubelet replaces the token before it expires, so that it is read for every request.
const (
	KubernetesTokenFile = "/var/run/secrets/kubernetes.io/serviceaccount/token"
	KubernetesCAFile    = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
)

// KubernetesOptions are what NewKubernetes needs.
type KubernetesOptions struct {
	HTTPOptions        // URL is the API server's; "" for that of the cluster that this pod is in
	Token       string // "" to read TokenFile for every request
	TokenFile   string
}

// Kubernetes writes an Event on the pod of each incident, so that kubectl describe pod
// shows it; on the node, where there is no pod. It needs to create and patch events, and
// nothing else.
type Kubernetes struct {
	p         *poster
	tokenFile string // "" where the token does not change
}

// NewKubernetes checks the options; nothing is sent.
func NewKubernetes(opt KubernetesOptions) (*Kubernetes, error) {
	if opt.URL == "" {
		host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
		if host == "" {
			return nil, badOption("url", "no API server is known: KUBERNETES_SERVICE_HOST is set in a pod alone; elsewhere give url, token_file and ca_file")
		}
		opt.URL = "https://" + net.JoinHostPort(host, cmp.Or(port, "443"))
	}
	p, err := newPoster(opt.HTTPOptions, "api/v1/namespaces")
	if err != nil {
		return nil, err
	}
	k := &Kubernetes{p: p}
	if opt.Token == "" {
		k.tokenFile = opt.TokenFile
		return k, nil
	}
	if err := checkSecret("token", opt.Token, "token"); err != nil {
		return nil, err
	}
	p.bearer(opt.Token)
	return k, nil
}

// Traits implements notify.Notifier.
func (k *Kubernetes) Traits() notify.Traits {
	return notify.Traits{Close: k.p.close, Digest: k.NotifyDigest}
}

// kubeEvent is a v1.Event (k8s.io/api's core/v1/types.go). Of a patch only what can have
// changed is sent.
type kubeEvent struct {
	APIVersion     string      `json:"apiVersion,omitempty"`
	Kind           string      `json:"kind,omitempty"`
	Metadata       *kubeMeta   `json:"metadata,omitempty"`
	InvolvedObject *kubeObject `json:"involvedObject,omitempty"`
	Reason         string      `json:"reason"`
	Message        string      `json:"message"`
	Type           string      `json:"type"`
	Source         *kubeSource `json:"source,omitempty"`
	First          string      `json:"firstTimestamp,omitempty"`
	Last           string      `json:"lastTimestamp,omitempty"`
	Count          int         `json:"count"`
	Reporting      string      `json:"reportingComponent,omitempty"`
	Instance       string      `json:"reportingInstance,omitempty"`
}

type kubeMeta struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
}

type kubeObject struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`
	UID        string `json:"uid,omitempty"`
	FieldPath  string `json:"fieldPath,omitempty"`
}

type kubeSource struct {
	Component string `json:"component"`
	Host      string `json:"host,omitempty"`
}

const (
	// maxKubeMessage is as long as the kubelet's own messages of events may be.
	maxKubeMessage = 1024
	// nodeNamespace is where the events of what has no namespace are.
	nodeNamespace = "default"
)

// kubeName is the name of an object of the API (RFC 1123, a subdomain).
var kubeName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)
})

// kubeReasons are the events' reasons by cause, where oomKilled does not give one.
var kubeReasons = map[incident.Cause]string{
	incident.OOMRuntime: "HeapLimitReached", incident.KillUserspaceOOM: "KilledByUserspaceOOM", incident.KillStopTimeout: "StopTimeout",
	incident.KillRequest: "KillRequested", incident.KillProcess: "KilledByProcess", incident.KillEvicted: "EvictedByKubelet", incident.KillProbe: "KilledByProbe",
	incident.KillUnknown: "KilledBySIGKILL", incident.StopRequest: "StopRequested", incident.CrashSignal: "Crashed", incident.LimitPids: "PidsLimitReached",
	incident.LimitDisk: "DiskFull", incident.ExecFailed: "StartFailed", incident.ExitError: "ExitedWithError", incident.ExitOK: "Exited",
	incident.HostShutdown: "NodeShutdown", incident.EngineStop: "RuntimeStopped", incident.UnknownCause: "DiedForUnknownCause",
}

// kubeReason is an event's reason: one word in CamelCase.
func kubeReason(inc *incident.Incident) string {
	if w := inc.Warning; w != nil {
		var b strings.Builder
		for word := range strings.SplitSeq(w.What, "_") {
			b.WriteString(strings.ToUpper(word[:min(len(word), 1)]) + word[min(len(word), 1):])
		}
		return cmp.Or(b.String(), "Warning")
	}
	if strings.HasPrefix(string(inc.Cause), "oom.") && inc.Cause != incident.OOMRuntime {
		return oomKilled(inc)
	}
	return cmp.Or(kubeReasons[inc.Cause], kubeReasons[incident.UnknownCause])
}

// oomKilled is the reason of an OOM kill: whose limit it was, and whether only a child was
// killed, which the pod's status does not tell.
func oomKilled(inc *incident.Incident) string {
	reason := "OOMKilled"
	if inc.Kind == incident.KindKill {
		reason = "OOMKilledChild"
	}
	switch inc.Cause {
	case incident.OOMAncestor:
		if atPodLimit(inc) {
			return reason + "ByPodLimit"
		}
		return reason + "ByParentLimit"
	case incident.OOMHost:
		return reason + "ByNode"
	case incident.OOMNode:
		return reason + "ByCpuset"
	}
	return reason
}

// atPodLimit is true where the cgroup whose limit was reached is that of the pod.
func atPodLimit(inc *incident.Incident) bool {
	if inc.OOM == nil || inc.Container == nil || inc.Container.Pod == nil || inc.Container.Pod.UID == "" {
		return false
	}
	plain := strings.NewReplacer("_", "-", ".slice", "").Replace(inc.OOM.OOMMemcg)
	return strings.HasSuffix(plain, "pod"+inc.Container.Pod.UID)
}

// involved is the object that an event is on, and the namespace that the event is in.
func involved(inc *incident.Incident) (kubeObject, string) {
	if c := inc.Container; c != nil && c.Pod != nil && kubeName().MatchString(c.Pod.Name) && kubeName().MatchString(c.Pod.Namespace) {
		o := kubeObject{APIVersion: "v1", Kind: "Pod", Namespace: c.Pod.Namespace, Name: c.Pod.Name, UID: render.Defang(c.Pod.UID)}
		if kubeName().MatchString(c.Name) {
			o.FieldPath = "spec.containers{" + c.Name + "}"
		}
		return o, c.Pod.Namespace
	}
	name := "unknown"
	if inc.Host != nil && kubeName().MatchString(inc.Host.Name) {
		name = inc.Host.Name
	}
	// The kubelet gives its own events the node's name for a uid.
	return kubeObject{APIVersion: "v1", Kind: "Node", Name: name, UID: name}, nodeNamespace
}

// eventOf makes the event. Its name is the incident's own, so that a repeat finds it.
func eventOf(a incident.Alert, now time.Time) *kubeEvent {
	inc := a.Incident
	object, namespace := involved(inc)
	id := sha256.Sum256([]byte(cmp.Or(inc.ID, a.DeliveryID)))
	name := fmt.Sprintf("%s.%x", strings.TrimRight(object.Name[:min(len(object.Name), 200)], ".-"), id[:8])
	e := &kubeEvent{APIVersion: "v1", Kind: "Event", Metadata: &kubeMeta{Name: name, Namespace: namespace}, InvolvedObject: &object,
		Reason: kubeReason(inc), Message: kubeMessage(inc), Type: "Warning", Count: max(inc.Count, 1), Source: &kubeSource{Component: "oomwatch"}, Reporting: "oomwatch"}
	if inc.Severity == incident.Info || inc.Over() {
		e.Type = "Normal"
	}
	if inc.Host != nil {
		e.Source.Host = render.Clip(render.Defang(inc.Host.Name), 200)
		e.Instance = render.Clip(e.Source.Host, 128)
	}
	at := inc.Time
	if at.IsZero() {
		at = now
	}
	e.First = at.UTC().Format(time.RFC3339)
	e.Last = e.First
	return e
}

// kubeMessage is what happened, how sure that is, and one next step.
func kubeMessage(inc *incident.Incident) string {
	parts := []string{inc.Summary}
	if w := render.ConfidenceWords(inc); w != "" {
		parts = append(parts, "("+w+")")
	}
	if len(inc.Advice) > 0 {
		parts = append(parts, "Next: "+inc.Advice[0])
	}
	return render.ClipBytes(render.Defang(strings.Join(parts, " ")), maxKubeMessage)
}

// Notify creates the event. One that is there already, as after an update or a try whose
// answer was lost, is brought up to date.
func (k *Kubernetes) Notify(ctx context.Context, a incident.Alert) error {
	return k.put(ctx, eventOf(a, k.p.now()), a.Update)
}

// maxKubeDigest is how many events on pods one digest becomes at most. The node has one
// more, of the rest.
const maxKubeDigest = 20

// NotifyDigest creates one event for each container and cause, with how many there were.
// What goes beyond maxKubeDigest, or what the API server refuses, as for a namespace that
// is being deleted, is one event on the node.
func (k *Kubernetes) NotifyDigest(ctx context.Context, id string, d *incident.Digest) error {
	var rest []*incident.DigestGroup
	for i := range d.Groups {
		g := &d.Groups[i]
		if i >= maxKubeDigest || g.Newest == nil {
			rest = append(rest, g)
			continue
		}
		newest := *g.Newest
		newest.Count = g.Count
		e := eventOf(incident.Alert{Incident: &newest}, k.p.now())
		if !g.From.IsZero() {
			e.First, e.Last = g.From.UTC().Format(time.RFC3339), g.To.UTC().Format(time.RFC3339)
		}
		var no *notify.Rejected
		if err := k.put(ctx, e, g.Update); errors.As(err, &no) && !no.Gone {
			rest = append(rest, g)
		} else if err != nil {
			return err
		}
	}
	if len(rest) == 0 {
		return nil
	}
	return k.put(ctx, restEvent(id, d, rest, k.p.now()), false)
}

// restEvent is the event on the node of the groups that have none of their own.
func restEvent(id string, d *incident.Digest, rest []*incident.DigestGroup, now time.Time) *kubeEvent {
	sum := &incident.Incident{ID: id, Host: &incident.Host{Name: d.Host}, Severity: d.Severity(), Time: d.From}
	var words []string
	for _, g := range rest {
		sum.Count += g.Count
		words = append(words, g.Summary)
	}
	sum.Summary = fmt.Sprintf("%d more", sum.Count) + ": " + strings.Join(words, "; ")
	e := eventOf(incident.Alert{Incident: sum, DeliveryID: id}, now)
	e.Reason = "ManyIncidents"
	return e
}

// put creates an event, or brings the one of that name up to date.
func (k *Kubernetes) put(ctx context.Context, e *kubeEvent, update bool) error {
	p, err := k.authorized()
	if err != nil {
		return err
	}
	all := p.url + "/" + url.PathEscape(e.Metadata.Namespace) + "/events"
	if !update {
		if err := send(ctx, p, http.MethodPost, all, e, ""); !answered(err, http.StatusConflict) {
			return err
		}
	}
	changed := &kubeEvent{Reason: e.Reason, Message: e.Message, Type: e.Type, Count: e.Count}
	err = send(ctx, p, http.MethodPatch, all+"/"+url.PathEscape(e.Metadata.Name), changed, "application/merge-patch+json")
	if answered(err, http.StatusNotFound) {
		// The API server keeps events for an hour.
		return send(ctx, p, http.MethodPost, all, e, "")
	}
	return err
}

// authorized is the poster with the token of now.
func (k *Kubernetes) authorized() (*poster, error) {
	if k.tokenFile == "" {
		return k.p, nil
	}
	token, err := os.ReadFile(k.tokenFile)
	if err != nil {
		return nil, fmt.Errorf("read the service account's token: %w", err)
	}
	p := *k.p
	p.header, p.secrets = p.header.Clone(), slices.Clone(p.secrets)
	p.bearer(string(bytes.TrimSpace(token)))
	return &p, nil
}

func send(ctx context.Context, p *poster, method, to string, e *kubeEvent, contentType string) error {
	body, err := encodeJSON(e)
	if err != nil {
		return &notify.Rejected{Err: fmt.Errorf("write the event as JSON: %w", err)}
	}
	header := http.Header{}
	if contentType != "" {
		header.Set("Content-Type", contentType)
	}
	_, err = p.send(ctx, method, to, body, header)
	return err
}

// answered is true where the receiver refused with a status.
func answered(err error, status int) bool {
	var said *statusError
	return errors.As(err, &said) && said.code == status
}
