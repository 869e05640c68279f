package trend

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func points(x, y []float64) []Point {
	p := make([]Point, len(x))
	for i := range x {
		p[i] = Point{x[i], y[i]}
	}
	return p
}

// Sen 1968 (Journal of the American Statistical Association 63, page 1386): the
// slope is 4. Its 93 % interval is 26/7 to 35/8; the paper's own has a slip in
// its list of slopes (Therneau, R package deming, tests/thielsen.R).
func TestSen1968(t *testing.T) {
	p := points([]float64{1, 2, 3, 4, 10, 12, 18}, []float64{9, 15, 19, 20, 45, 55, 78})
	s, ok := TheilSen(p, 0.93)
	if !ok || s.PerSecond != 4 || s.Low != 26.0/7 || s.High != 35.0/8 {
		t.Errorf("slope %+v, %v; want 4, 26/7 to 35/8", s, ok)
	}
	// The median of y - 4 t is 6 (the same tests).
	if want := 6.0 + 4*18; s.At != want {
		t.Errorf("line at the last point %v, want %v", s.At, want)
	}
}

// Bonett, R package statpsych, ci.theil, after Hollander and Wolfe 1999: slope
// 0.5, 95 % from 0.3243243 to 0.75. It rounds the ranks to the nearest, which is
// one rank inside of ours.
func TestHollanderWolfe(t *testing.T) {
	p := points([]float64{67, 28, 30, 28, 52, 40, 25, 37, 44, 10, 14, 20, 28, 40, 51},
		[]float64{21, 4, 9, 12, 35, 18, 10, 22, 24, 1, 6, 8, 13, 16, 19})
	s, ok := TheilSen(p, 0.95)
	if !ok || s.PerSecond != 0.5 {
		t.Fatalf("slope %+v, %v; want 0.5", s, ok)
	}
	all := slopes(nil, clean(p))
	slices.Sort(all)
	i, _ := slices.BinarySearch(all, 0.3243)
	j, _ := slices.BinarySearch(all, 0.75)
	if all[i-1] != s.Low || math.Abs(all[i]-0.3243243) > 1e-7 {
		t.Errorf("lower limit %v; want the rank before %v", s.Low, all[i])
	}
	if s.High < 0.75 || s.High > all[j+1] {
		t.Errorf("upper limit %v; want 0.75 or one rank above", s.High)
	}
}

// Helsel and Hirsch, Statistical Methods in Water Resources, section 8.2: 33 of
// 45 pairs rise, tau 0.47, exact p 0.0726 and by the normal approximation 0.074.
func TestHelselHirsch(t *testing.T) {
	p := points([]float64{2, 24, 99, 197, 377, 544, 632, 3452, 6587, 53170},
		[]float64{1.22, 2.20, 4.80, 1.28, 1.97, 1.46, 2.64, 2.34, 4.84, 2.96})
	k, ok := MannKendall(p)
	if !ok || k.S != 21 || k.Var != 125 || k.Inflation != 1 || math.Abs(k.Tau-0.467) > 0.0005 || math.Abs(k.P-0.0726) > 0.0001 {
		t.Errorf("%+v, %v", k, ok)
	}
	if byZ := 2 * normal(-k.Z); math.Abs(byZ-0.0736) > 0.0001 {
		t.Errorf("p by Z %v, want 0.0736", byZ)
	}
}

// Gilbert 1987, table A18 (after Kendall 1975 and Hollander and Wolfe 1973): the
// chance of S or more without a trend.
func TestGilbertA18(t *testing.T) {
	for n, row := range map[int]map[int]float64{
		4:  {0: .625, 2: .375, 4: .167, 6: .042},
		5:  {0: .592, 2: .408, 4: .242, 6: .117, 8: .042, 10: .0083},
		6:  {1: .500, 3: .360, 5: .235, 7: .136, 9: .068, 11: .028, 13: .0083, 15: .0014},
		7:  {1: .500, 3: .386, 5: .281, 7: .191, 9: .119, 11: .068, 13: .035, 15: .015, 17: .0054, 19: .0014, 21: .00020},
		8:  {0: .548, 2: .452, 4: .360, 6: .274, 8: .199, 10: .138, 12: .089, 14: .054, 16: .031, 18: .016, 20: .0071, 22: .0028, 24: .00087, 26: .00020, 28: .000025},
		9:  {0: .540, 2: .460, 4: .381, 6: .306, 8: .238, 10: .179, 12: .130, 14: .090, 16: .060, 18: .038, 20: .022, 22: .012, 24: .0063, 26: .0029, 28: .0012, 30: .00043},
		10: {1: .500, 3: .431, 5: .364, 7: .300, 9: .242, 11: .190, 13: .146, 15: .108, 17: .078, 19: .054, 21: .036, 23: .023, 25: .014, 27: .0083, 29: .0046, 31: .0023, 33: .0011},
	} {
		for s, want := range row {
			if got := exact(n, s); math.Abs(got-want) > 0.06*want && math.Abs(got-want) > 0.0005 {
				t.Errorf("n %d, S %d: %v, table %v", n, s, got, want)
			}
		}
	}
}

// Hirsch and Slack's correction for ties, by hand: 4 points, two of them equal.
func TestTies(t *testing.T) {
	k, ok := MannKendall(points([]float64{1, 2, 3, 4}, []float64{1, 2, 2, 3}))
	// 6 pairs, 5 rise. (4·3·13 - 2·1·9) / 18.
	if want := (4.0*3*13 - 2*1*9) / 18; !ok || k.S != 5 || math.Abs(k.Var-want) > 1e-9 {
		t.Errorf("%+v, want S 5, Var %v", k, want)
	}
	if k, ok := MannKendall(points([]float64{1, 2, 3, 4, 5}, []float64{7, 7, 7, 7, 7})); ok {
		t.Errorf("all equal: %+v", k)
	}
	if s, ok := TheilSen(points([]float64{1, 2, 3, 4, 5}, []float64{7, 7, 7, 7, 7}), 0.95); !ok || s != (Slope{At: 7}) {
		t.Errorf("all equal: %+v, %v", s, ok)
	}
}

// Readings that hang on those before them rise and fall in long sweeps; without
// the correction the test would see a trend in most of them.
func TestAutocorrelation(t *testing.T) {
	plain, corrected := 0, 0
	const rounds = 400
	for seed := range uint64(rounds) {
		r := rand.New(rand.NewPCG(seed, 1))
		v := 0.0
		var p []Point
		for i := range 150 {
			v = 0.8*v + r.NormFloat64()
			p = append(p, Point{float64(i), v})
		}
		k, _ := MannKendall(p)
		if 2*normal(-math.Abs(k.S-1)/math.Sqrt(k.Var)) < 0.05 {
			plain++
		}
		if k.P < 0.05 {
			corrected++
		}
	}
	t.Logf("trends seen where there is none, of %d: %d without the correction, %d with it", rounds, plain, corrected)
	if plain < rounds/4 || corrected > rounds*16/100 {
		t.Errorf("%d and %d of %d", plain, corrected, rounds)
	}
}

// What readings hang on is not known from one short run: all are asked together.
func TestShortRuns(t *testing.T) {
	for _, rho := range []float64{0, 0.5, 0.9} {
		trends, misses := 0, 0
		const rounds = 400
		for seed := range uint64(rounds) {
			r := rand.New(rand.NewPCG(seed, 5))
			var runs [][]Point
			for k := range 12 {
				e := r.NormFloat64() / math.Sqrt(1-rho*rho)
				var p []Point
				for i := range 10 {
					p = append(p, Point{float64(1000*k + 10*i), 100 + e})
					e = rho*e + r.NormFloat64()
				}
				runs = append(runs, p)
			}
			if k, ok := MannKendallOf(runs...); ok && k.P < 0.05 {
				trends++
			}
			if s, ok := TheilSenOf(0.99, runs...); ok && (s.Low > 0 || s.High < 0) {
				misses++
			}
		}
		t.Logf("rho %v: of %d sets of 12 runs without a trend, %d have one with p < 0.05, and %d intervals of 99 %% miss zero", rho, rounds, trends, misses)
		if trends > rounds*8/100 || misses > rounds*5/100 {
			t.Errorf("rho %v: %d and %d of %d", rho, trends, misses, rounds)
		}
	}
}

// The interval must hold the true slope about as often as it says.
func TestCoverage(t *testing.T) {
	for _, rho := range []float64{0, 0.6} {
		hit := 0
		const rounds = 400
		for seed := range uint64(rounds) {
			r := rand.New(rand.NewPCG(seed, 2))
			e := 0.0
			var p []Point
			for i := range 120 {
				e = rho*e + r.NormFloat64()
				p = append(p, Point{float64(i), 3*float64(i) + 10*e})
			}
			if s, ok := TheilSen(p, 0.95); ok && s.Low <= 3 && 3 <= s.High {
				hit++
			}
		}
		t.Logf("rho %v: the true slope was inside %d times of %d", rho, hit, rounds)
		if hit < rounds*88/100 {
			t.Errorf("rho %v: the true slope was inside %d times of %d", rho, hit, rounds)
		}
	}
}

func TestToLimit(t *testing.T) {
	var p []Point
	for i := range 60 {
		p = append(p, Point{float64(i), 100 + float64(i) + float64(i%3)})
	}
	f, ok := ToLimit(p, 260)
	if !ok || math.Abs(f.Seconds-100) > 2 || f.Error <= 0 || f.Error > 10 {
		t.Errorf("%+v, %v; want 100 s", f, ok)
	}
	if f, ok := ToLimit(p, 1e6); ok {
		t.Errorf("a limit far beyond what was seen: %+v", f)
	}
	if f, ok := ToLimit(p, 50); !ok || f.Seconds != 0 {
		t.Errorf("a limit that is reached: %+v, %v", f, ok)
	}
	for i := range p {
		p[i].V = 100 + float64(i%7)
	}
	if f, ok := ToLimit(p, 260); ok {
		t.Errorf("no growth: %+v", f)
	}
}

func TestSelect(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 3))
		v := make([]float64, 1+r.IntN(60))
		for i := range v {
			v[i] = float64(r.IntN(20))
		}
		sorted := slices.Sorted(slices.Values(v))
		k := r.IntN(len(v))
		if got := nth(v, k); got != sorted[k] {
			t.Fatalf("seed %d: %v, want %v of %v", seed, got, sorted[k], sorted)
		}
		n := len(v)
		if got, want := median(v), (sorted[(n-1)/2]+sorted[n/2])/2; got != want {
			t.Fatalf("seed %d: median %v, want %v", seed, got, want)
		}
	}
}

// Whatever comes in, nothing panics and nothing is made of numbers that are none.
func TestHostile(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for _, p := range [][]Point{
		nil, {{1, 1}}, {{1, nan}, {2, inf}, {nan, 3}}, {{1, 1}, {1, 2}, {1, 3}, {1, 4}, {1, 5}},
		{{5, 1}, {4, 2}, {3, 3}, {2, 4}, {1, 5}, {0, 6}}, {{0, 1e300}, {100, -1e300}, {200, 1e300}, {300, 1}, {400, 1}},
	} {
		f := Classify(p, Options{Daily: true})
		if f.Reason == "" || f.Shape == "" {
			t.Errorf("%v: %+v", p, f)
		}
		ToLimit(p, 5)
	}
}

func BenchmarkClassify(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	var p []Point
	for i := range 1440 {
		p = append(p, Point{float64(60 * i), 1e8 + float64(i)*1e4 + r.NormFloat64()*1e6})
	}
	for b.Loop() {
		Classify(p, Options{})
	}
}
