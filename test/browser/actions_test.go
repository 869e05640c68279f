package browser

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// TestActions signs in, tries a receiver and begins a silence, by the buttons of the page:
// with script and without, under its policy.
func TestActions(t *testing.T) {
	ctx := chromium(t)
	url := serve(t, newHouse(6, 4))
	for _, script := range []bool{true, false} {
		ctx, f := tab(t, ctx)
		var text string
		var shot []byte
		err := chromedp.Run(ctx, emulation.SetScriptExecutionDisabled(!script), sized(390, "light"), chromedp.Navigate(url+"/receivers?container=web"),
			chromedp.SendKeys(`input[name=token]`, pageToken, chromedp.ByQuery), chromedp.Submit(`input[name=token]`, chromedp.ByQuery),
			chromedp.WaitVisible(`form[action="/do/test"] button`, chromedp.ByQuery), chromedp.Click(`form[action="/do/test"] button`, chromedp.ByQuery),
			chromedp.WaitVisible(`p.good`, chromedp.ByQuery), chromedp.Text(`p.good`, &text, chromedp.ByQuery), chromedp.FullScreenshot(&shot, 100))
		if err != nil {
			t.Fatalf("script %v: %v", script, err)
		}
		if text != "The receiver took a sample alert." {
			t.Errorf("script %v: after the test the page says %q", script, text)
		}
		shots := filepath.Join(root, "bin/screenshots")
		if err := os.MkdirAll(shots, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(shots, "actions-390-light.png"), shot, 0o644); err != nil {
			t.Fatal(err)
		}
		err = chromedp.Run(ctx, chromedp.SendKeys(`input[name=container]`, "web", chromedp.ByQuery), chromedp.SendKeys(`input[name=reason]`, "deploy", chromedp.ByQuery),
			chromedp.Submit(`input[name=reason]`, chromedp.ByQuery), chromedp.WaitVisible(`p.good`, chromedp.ByQuery), chromedp.Sleep(300e6), chromedp.Text(`p.good`, &text, chromedp.ByQuery),
			chromedp.Click(`form[action="/logout"] button`, chromedp.ByQuery), chromedp.WaitVisible(`input[name=token]`, chromedp.ByQuery))
		if err != nil {
			t.Fatalf("script %v: %v", script, err)
		}
		if !strings.HasPrefix(text, "The silence begins") {
			t.Errorf("script %v: after the silence the page says %q", script, text)
		}
		if found := f.take(); len(found) > 0 {
			t.Errorf("script %v: %s", script, strings.Join(found, "\n"))
		}
	}
}
