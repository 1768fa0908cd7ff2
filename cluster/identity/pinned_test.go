package identity

// What version 1 derives from fixed input, computed
// apart from this code (Python's hmac and hashlib).
const (
	pinnedBearer = "HeMvQS03AG88ZcNKsBUvPWyNk6JY5B2DpQToz8cre50"
	pinnedProof  = "ae8ddf0846521a1c70aef58c22cc120b12981a5512500e897f1dec5fd78e9c3f"
	pinnedID     = "mzuhvlpymk6xo3epygfy5h4oeaejofef fd3e:5bf:3c78:1508:8d48:270e:6657:33f0"
)
