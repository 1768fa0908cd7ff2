package api

import (
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"

	"caucus/node/web"
)

// Config says what to serve and to whom.
type Config struct {
	Node   Node
	Gossip http.Handler // GET /gossip; nil: there is none
	Relay  Relay        // ANY /via/{id}/predict, /card, /gossip; nil: there are none
	// Bearer opens the local routes from elsewhere. Empty: a node without a token, whose
	// routes are open to all who reach it.
	Bearer string
	// Rotate makes a token the cluster's, which is sealed with the present one and RotateAbout (else
	// identity.ErrToken); those until now are good for keep longer, perhaps only for those who are or
	// were members. nil: it cannot.
	Rotate func(sealed string, keep time.Duration, membersOnly bool) error
	// Hosts are the names besides those of loopback by which this node is rightly called,
	// without port: the host of its public URL.
	Hosts []string
	// Forwarded is told of each request that came through a tunnel or another proxy. nil: nobody is.
	Forwarded func(r *http.Request)
	// Registry holds the metrics of the whole node; the ones of HTTP are added to it.
	// nil: a new one.
	Registry *prometheus.Registry
	// Rate and Burst limit /consensus for each client off this machine. 0: 100 a second, 200.
	Rate  float64
	Burst int
	// MaxInFlight bounds the questions answered at once, of all clients. 0: 1024.
	MaxInFlight int
	Log         *slog.Logger // nil: discard
}

// API is the HTTP interface of one node. It is an http.Handler.
type API struct {
	node        Node
	info        *Info
	schema      *schema
	bearers     atomic.Pointer[[]string] // the keys that open the local routes from elsewhere; none: the node is open
	rotateToken func(sealed string, keep time.Duration, membersOnly bool) error
	hosts       []string
	log         *slog.Logger
	engine      *gin.Engine
	origin      *http.CrossOriginProtection
	metrics     *httpMetrics
	forwarded   func(r *http.Request)
	limits      *limits
	events      *events
	site        *web.Site
	maxInFlight int64
	inFlight    atomic.Int64
	closing     atomic.Bool
	calls       sync.Pool // *call
}

var ginOnce sync.Once

// New returns the interface.
func New(cfg Config) (*API, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Registry == nil {
		cfg.Registry = prometheus.NewRegistry()
	}
	if cfg.Rate == 0 {
		cfg.Rate, cfg.Burst = 100, 200
	}
	if cfg.MaxInFlight == 0 {
		cfg.MaxInFlight = 1024
	}
	// Gin's mode is global, and setting it is not safe while another node starts.
	ginOnce.Do(func() { gin.SetMode(gin.ReleaseMode) })
	a := &API{
		node: cfg.Node, info: cfg.Node.Info(), hosts: cfg.Hosts, rotateToken: cfg.Rotate, log: cfg.Log, forwarded: cfg.Forwarded,
		origin: http.NewCrossOriginProtection(), maxInFlight: int64(cfg.MaxInFlight),
		engine: gin.New(),
	}
	a.SetBearers(nil)
	if cfg.Bearer != "" {
		a.SetBearers([]string{cfg.Bearer})
	}
	a.schema = newSchema(a.info.Features)
	a.schema.rows = rowsOf(len(a.info.Labels))
	a.events = newEvents(a.node)
	a.calls.New = func() any { return new(call) }
	var err error
	if a.site, err = web.New(); err != nil {
		return nil, err
	}
	if a.limits, err = newLimits(cfg.Rate, cfg.Burst); err != nil {
		return nil, err
	}
	if a.metrics, err = newHTTPMetrics(cfg.Registry, a.info); err != nil {
		return nil, err
	}
	// Only an agent on this machine may say whom it speaks for.
	if err := a.engine.SetTrustedProxies([]string{"127.0.0.0/8", "::1"}); err != nil {
		return nil, err
	}
	a.engine.HandleMethodNotAllowed = true
	a.engine.RedirectTrailingSlash = false
	a.engine.Use(a.front)
	a.routes(cfg)
	return a, nil
}

// routes is the table of all addresses. Those for this machine or a bearer go through a.local.
func (a *API) routes(cfg Config) {
	e := a.engine
	get := func(path string, h ...gin.HandlerFunc) {
		e.GET(path, h...)
		e.HEAD(path, h...)
	}
	get("/predict", a.question(a.predict))
	e.POST("/predict", a.question(a.predict))
	get("/consensus", a.limited, a.question(a.consensus))
	e.POST("/consensus", a.limited, a.question(a.consensus))
	get("/healthz", a.plain(a.healthz))
	get("/readyz", a.plain(a.readyz))
	get("/card", a.plain(a.card))
	get("/members", a.local, a.plain(a.members))
	get("/doctor", a.local, a.plain(a.doctor))
	e.POST("/members/forget", a.local, a.plain(a.forget))
	get("/invite", a.local, a.plain(a.invite))
	e.POST("/members/remove", a.local, a.plain(a.remove))
	e.POST("/invite/rotate", a.keyed, a.plain(a.rotate))
	get("/rounds", a.local, a.rounds)
	get("/rounds/:id", a.local, a.plain(a.round))
	get("/metrics", a.local, gin.WrapH(metricsHandler(cfg.Registry)))
	get("/", a.shell, a.page)
	a.mountLearning()
	a.mountOIP()
	a.mountOpenAPI()
	get("/assets/*file", a.shell, a.assets)
	e.GET(eventsRoute, a.local, a.stream)
	if cfg.Gossip != nil {
		e.GET(gossipRoute, gin.WrapH(cfg.Gossip))
	}
	if cfg.Relay != nil {
		a.mountVia(cfg.Relay)
	}
	e.NoRoute(a.fails(func(c *gin.Context) error {
		return Problemf(NotFound, "there is nothing at %s; try /predict, /consensus, /members, /card, /healthz", shown(c.Request.URL.Path))
	}))
	e.NoMethod(a.fails(func(c *gin.Context) error {
		return Problemf(MethodNotAllowed, "%s does not take %s; it takes %s",
			shown(c.Request.URL.Path), shown(c.Request.Method), c.Writer.Header().Get("Allow"))
	}))
}

// gossipRoute carries connections that live for days: no count of requests under way
// and no duration is kept of it.
const gossipRoute = "/gossip"

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.engine.ServeHTTP(w, r) }

// Close makes new questions answer 503 shutting-down with Connection: close. Those
// under way go on; those of /events end.
func (a *API) Close() {
	a.closing.Store(true)
	a.events.close()
}

// Server returns a server with the limits that a node on the Internet needs.
func (a *API) Server() *http.Server {
	return &http.Server{
		Handler:           a,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      60 * time.Second, // above any deadline, for slow readers of a large batch
		IdleTimeout:       60 * time.Second,
		// net/http adds 4 KiB to this.
		MaxHeaderBytes: 12 << 10,
		ErrorLog:       a.quietLog(),
	}
}

// quietLog is for what anybody on the Internet can cause.
func (a *API) quietLog() *log.Logger { return slog.NewLogLogger(a.log.Handler(), slog.LevelDebug) }

func isLoopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	if ip := net.ParseIP(host); ip != nil {
		return ip.IsLoopback()
	}
	return false
}
