package warn

// sparkColumns is how many columns the recent past of a container is drawn in.
const sparkColumns = 12

var sparks = []rune("▁▂▃▄▅▆▇█")

// Spark draws what was held lately, in columns as high as the highest of their stretch
// of time beside the highest of all; "" for less than two readings.
func Spark(held []int64) string {
	most := int64(1)
	for _, v := range held {
		most = max(most, v)
	}
	if len(held) < 2 {
		return ""
	}
	out := make([]rune, min(len(held), sparkColumns))
	high := make([]int64, len(out))
	for i, v := range held {
		at := i * len(out) / len(held)
		high[at] = max(high[at], v)
	}
	for i, v := range high {
		out[i] = sparks[min(int(v*int64(len(sparks))/(most+1)), len(sparks)-1)]
	}
	return string(out)
}

// stretches are the highest of sparkColumns stretches of what was held.
func stretches(p []point) []int64 {
	if len(p) < 2 {
		return nil
	}
	out := make([]int64, min(len(p), sparkColumns))
	for i, q := range p {
		at := i * len(out) / len(p)
		out[at] = max(out[at], q.held)
	}
	return out
}
