package grpcread

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field is one field of a protobuf message.
type Field struct {
	Number int
	// Bytes is the value of a string, of bytes and of a message; Int that of a number.
	Bytes []byte
	Int   uint64
}

// Text is the field as a string.
func (f *Field) Text() string { return string(f.Bytes) }

// Fields hands every field of a message to take, in order. Groups, which no message in
// use has, are errors.
func Fields(b []byte, take func(Field) error) error {
	for len(b) > 0 {
		num, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		f := Field{Number: int(num)}
		switch kind {
		case protowire.VarintType:
			f.Int, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			f.Bytes, n = protowire.ConsumeBytes(b)
		case protowire.Fixed64Type:
			f.Int, n = protowire.ConsumeFixed64(b)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(b)
			f.Int = uint64(v)
		default:
			return fmt.Errorf("field %d has the wire type %d", num, kind)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if err := take(f); err != nil {
			return err
		}
	}
	return nil
}

// Texts takes the strings of a message, each by the number of its field. Other fields
// are passed over.
func Texts(b []byte, into map[int]*string) error {
	return Fields(b, func(f Field) error {
		if to := into[f.Number]; to != nil {
			*to = f.Text()
		}
		return nil
	})
}

// maxEntries bounds what is kept of a map in a message.
const maxEntries = 4096

// Entry adds an entry of a map of strings to m, which it makes where it is nil.
func Entry(m *map[string]string, entry []byte) error {
	var k, v string
	if err := Texts(entry, map[int]*string{1: &k, 2: &v}); err != nil {
		return err
	}
	if *m == nil {
		*m = map[string]string{}
	}
	if len(*m) >= maxEntries {
		return errors.New("a map has too many entries")
	}
	(*m)[k] = v
	return nil
}

// AppendText, AppendInt and AppendMessage add a field to a message.
func AppendText(b []byte, number int, v string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, protowire.Number(number), protowire.BytesType), v)
}

// AppendInt adds a number; see AppendText.
func AppendInt(b []byte, number int, v int64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, protowire.Number(number), protowire.VarintType), uint64(v))
}

// AppendMessage adds a message; see AppendText.
func AppendMessage(b []byte, number int, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, protowire.Number(number), protowire.BytesType), v)
}
