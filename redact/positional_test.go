package redact

import (
	"strings"
	"testing"
)

// TestSecretsByPlace masks a secret that its place in a printed value announces, and
// leaves what only looks like one.
func TestSecretsByPlace(t *testing.T) {
	for _, l := range []string{
		`** Reason: {badmatch, {db, "db-1.local", "orders", "«S3cr3tWren!»"}}`,
		`{error,{auth_failed,{smtp,"mail.example.org",587,"bot","«Kestrel-77»"}}}`,
		`{:mysql, 'db1', 3306, 'app', '«Wr3nFeather»'}`,
		`panic: DbConf(db1, orders, «S3cr3tWren»)`,
		`new DbConnection("db1", "app", "«wrenfeather9»")`,
		`DbConf { "db1", "app", "«Wr3nFeather»" }`,
		`Server=db1;Uid=app;Pwd=«Brick&Mortar8»;`,
		`Server=db1;Uid=app;Password=«A&B=C&D9»;Timeout=5`,
		`GET /login?pwd=«Brick»&next=8 200`,
		`UserSecret(id: 4, value: Optional("«wren feather»"))`,
		`Password(value=«wr3nfeather»)`,
		`"ACL" "SETUSER" "bob" "on" ">«wr3nfeather»" "~*"`,
		`user bob on >«wr3nfeather» ~* +@all`,
		`{initial_call,{emysql,init,["db",3306,"shop","«R3edPond!»"]}}`,
		`Settings::new("pg", 5432, "shop", "«quarrySt0ne»")`,
		`client->auth('«quarrySt0ne»')`,
		`logon denied (shop/«g0rseHill»@//ora1:1521/XE)`,
		`DATABASE_PASSWORD_FILE_CONTENT=«wr3nfeather»`,
		`DB_PASSWORD_FILE_BODY: «wrenfeather»`,
	} {
		secret := strings.Trim(reMarked.FindString(l), "«»")
		line := strings.NewReplacer("«", "", "»", "").Replace(l)
		if got, want := Line(line), strings.Replace(line, secret, Redacted, 1); got != want {
			t.Errorf("Line(%q) = %q, want %q", line, got, want)
		}
	}
	for _, l := range []string{
		`{db, "db-1.local", "orders-v2.3", "web-01-a"}`,
		`RedisConfig("cache", 6379, "shard1")`,
		`Session(id, "orders", "2026-11-21", "b.json")`,
		`client.get("a", "b", "c4f1d9aa")`,
		`redis.set("sessions", 3600, "job", "aB3dE5fG")`,
		`Kennwortrichtlinie: mindestens 12 Zeichen`,
		`{User:x Password: DB:0}`,
		`PASSWORD_FILE=/run/secrets/db`,
		`refreshToken(0x7ffe12ab34)`,
		`session: <Token: 0x600003e4c1a0>`,
		`GET /list?user=bob&sort=name 200`,
	} {
		if got := Line(l); got != l {
			t.Errorf("Line(%q) = %q, want it unchanged", l, got)
		}
	}
}
