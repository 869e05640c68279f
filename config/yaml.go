package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"sort"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
	"github.com/oomwatch/oomwatch/internal/lazyre"
)

// problem is one thing wrong with a configuration file.
type problem struct {
	file      string
	line, col int
	excerpt   string // the line up to the end of what is wrong; no secret
	text      string
}

func (p problem) String() string {
	s := fmt.Sprintf("%s:%d:%d: %s", p.file, p.line, p.col, p.text)
	if p.excerpt != "" {
		s += fmt.Sprintf("\n  %4d | %s", p.line, p.excerpt)
	}
	return s
}

// problems is everything wrong with a file, so that it is mended in one go.
type problems []problem

func (ps problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

func (ps problems) err() error {
	if len(ps) == 0 {
		return nil
	}
	sort.SliceStable(ps, func(i, j int) bool { return ps[i].line < ps[j].line })
	return ps
}

// document is a configuration file being read.
type document struct {
	file     string
	lines    []string
	at       map[string]*token.Token // path → where its value (or key) stands
	problems problems
	// refused are the paths at or below which a value was refused: what hangs on several
	// values is not judged there.
	refused map[string]bool
}

// parseConfig reads src into cfg. Everything wrong with it is found, not only
// the first: unknown keys, wrong types and refused values stand in problems. An error is
// of a file that is no YAML.
func parseConfig(file string, src []byte, cfg *Config) (*document, error) {
	d := &document{file: file, lines: strings.Split(string(src), "\n"), at: map[string]*token.Token{}, refused: map[string]bool{}}
	tokens := lexer.Tokenize(string(src))
	if t := tooDeep(tokens); t != nil {
		d.add(t, fmt.Sprintf("nested more than %d deep: nothing in a configuration is", maxDepth))
		return nil, d.problems.err()
	}
	f, err := parser.Parse(tokens, 0)
	if err != nil {
		var syntax yaml.Error
		if errors.As(err, &syntax) {
			d.add(syntax.GetToken(), syntax.GetMessage())
			return nil, d.problems.err()
		}
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var body ast.Node
	for _, doc := range f.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.NullType || doc.Body.Type() == ast.CommentType {
			continue
		}
		if body != nil {
			d.add(doc.Body.GetToken(), "a second document: a configuration is one")
			continue
		}
		body = doc.Body
	}
	if body != nil {
		d.bind("", body, reflect.ValueOf(cfg).Elem())
	}
	return d, nil
}

// maxDepth is how deep a configuration may be nested: the parser's work and memory grow
// with the square of the depth.
const maxDepth = 32

// tooDeep is the token at which a file is nested too deep, nil where it is not. Nesting
// by indentation needs no bound of its own: the size of the file bounds it.
func tooDeep(tokens token.Tokens) *token.Token {
	flow, entries := 0, 0
	for _, t := range tokens {
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			flow++
			entries = 0
		case token.MappingEndType, token.SequenceEndType:
			flow = max(0, flow-1)
			entries = 0
		case token.SequenceEntryType, token.MappingKeyType:
			entries++
		default:
			entries = 0
		}
		if flow > maxDepth || entries > maxDepth {
			return t
		}
	}
	return nil
}

// bind reads node into v. path names it for later checks.
func (d *document) bind(path string, node ast.Node, v reflect.Value) {
	before := len(d.problems)
	defer func() {
		if len(d.problems) > before {
			d.refused[path] = true
		}
	}()
	switch n := node.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		d.add(node.GetToken(), "anchors, aliases and tags are not read here: write the value out")
		return
	case *ast.NullNode:
		d.add(keyOr(d.at[path], n.GetToken()), "no value: give one or take the key out")
		return
	}
	d.at[path] = tokenOf(node)
	if t, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		s, ok := scalar(node)
		if !ok {
			d.add(tokenOf(node), "one value is wanted here")
			return
		}
		if err := t.UnmarshalText([]byte(s)); err != nil {
			d.add(node.GetToken(), err.Error())
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.bindStruct(path, node, v)
	case reflect.Slice:
		seq, ok := node.(*ast.SequenceNode)
		if !ok {
			d.add(tokenOf(node), "a list is wanted here")
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), len(seq.Values), len(seq.Values)))
		for i, item := range seq.Values {
			d.bind(fmt.Sprintf("%s[%d]", path, i), item, v.Index(i))
		}
	case reflect.Bool:
		b, ok := node.(*ast.BoolNode)
		if !ok {
			d.add(node.GetToken(), "true or false is wanted here")
			return
		}
		v.SetBool(b.Value)
	case reflect.String:
		s, ok := scalar(node)
		if !ok || s == "" {
			d.add(tokenOf(node), "a text is wanted here")
			return
		}
		v.SetString(s)
	default:
		panic("configuration: no reader for " + v.Type().String())
	}
}

func (d *document) bindStruct(path string, node ast.Node, v reflect.Value) {
	var values []*ast.MappingValueNode
	switch m := node.(type) {
	case *ast.MappingNode:
		values = m.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{m}
	default:
		d.add(node.GetToken(), "keys are wanted here: "+List(keysOf(v.Type())))
		return
	}
	seen := map[string]bool{}
	for _, kv := range values {
		key := kv.Key.GetToken()
		name := key.Value
		field, ok := fieldOf(v, name)
		switch {
		case !ok:
			keys := keysOf(v.Type())
			text := fmt.Sprintf("unknown key %q", name)
			if near := Nearest(name, keys); near != "" {
				text += fmt.Sprintf(", did you mean %q?", near)
			} else {
				text += "."
			}
			d.add(key, text+" Known here: "+List(keys))
		case seen[name]:
			d.add(key, fmt.Sprintf("%q is given twice", name))
		default:
			seen[name] = true
			sub := strings.TrimPrefix(path+"."+name, ".")
			d.at[sub] = key
			d.bind(sub, kv.Value, field)
		}
	}
}

// problem notes what is wrong with the value at path.
func (d *document) problem(path, text string) { d.add(d.at[path], text) }

func (d *document) add(t *token.Token, text string) {
	p := problem{file: d.file, text: text, line: 1, col: 1}
	if t != nil && t.Position != nil {
		p.line, p.col = t.Position.Line, t.Position.Column
		p.excerpt = d.excerpt(t)
	}
	d.problems = append(d.problems, p)
}

// secretValue finds the values that must never be printed.
var secretValue = lazyre.New(`((?:^|[\s{,"'-])(?:heartbeat_url|url|secret|token|password|headers)["']?\s*:\s*)\S.*`)

// excerpt is the line up to the end of the token: what stands behind an unknown
// key may be a secret under a mistyped name.
func (d *document) excerpt(t *token.Token) string {
	if t.Position.Line > len(d.lines) {
		return ""
	}
	line := d.lines[t.Position.Line-1]
	end := t.Position.Column - 1 + len(strings.TrimSpace(t.Origin))
	if end >= 0 && end < len(line) {
		line = line[:end]
	}
	return strings.TrimRight(secretValue.ReplaceAllString(line, "${1}********"), " \r\t")
}

func keyOr(key, other *token.Token) *token.Token {
	if key != nil {
		return key
	}
	return other
}

// tokenOf is where a node begins: a group of keys at its first key, not at the
// colon behind it.
func tokenOf(node ast.Node) *token.Token {
	switch n := node.(type) {
	case *ast.MappingValueNode:
		return n.Key.GetToken()
	case *ast.MappingNode:
		if len(n.Values) > 0 {
			return n.Values[0].Key.GetToken()
		}
	}
	return node.GetToken()
}

// scalar is the text of a plain value.
func scalar(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	}
	return "", false
}

func fieldOf(v reflect.Value, key string) (reflect.Value, bool) {
	for i := range v.NumField() {
		if key != notRead && keyOf(v.Type().Field(i)) == key {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

func keysOf(t reflect.Type) []string {
	var out []string
	for i := range t.NumField() {
		if key := keyOf(t.Field(i)); key != notRead {
			out = append(out, key)
		}
	}
	return out
}

// notRead is the key of a field that no file sets.
const notRead = "-"

func keyOf(f reflect.StructField) string {
	key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return key
}
