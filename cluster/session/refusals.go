package session

import (
	"context"
	"log/slog"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// A node that is refused tries again for ever, and says the same each time. The
// log has it once in a while, and otherwise for those who look at every detail.
const (
	maxRefusals  = 256
	repeatRefuse = 10 * time.Minute
)

// refusals remembers when each refusal was last logged at its own level.
type refusals struct{ last *lru.Cache[string, time.Time] }

func newRefusals() (refusals, error) {
	last, err := lru.New[string, time.Time](maxRefusals)
	return refusals{last}, err
}

// log logs err, which quotes neither port nor time, at level, or at debug level
// if it did so a short while ago.
func (r refusals) log(ctx context.Context, log *slog.Logger, level slog.Level, msg, remote string, err error) {
	now := time.Now()
	if last, seen := r.last.Get(err.Error()); seen && now.Sub(last) < repeatRefuse {
		level = slog.LevelDebug
	} else {
		r.last.Add(err.Error(), now)
	}
	log.Log(ctx, level, msg, "remote", remote, "error", err)
}
