package identity

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"time"
)

// Certificate makes the self-signed certificate under which the node speaks
// TLS. It says nothing but the key: whoever checks it takes the id from the key
// (see OfCertificate) and ignores names, dates and issuer. So nothing in it
// expires, and clocks that are wrong do no harm.
func (k *Key) Certificate() (tls.Certificate, error) {
	serial := int64(1<<62 | mathrand.Uint64N(1<<62)) // eight bytes, whatever it is
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), // tells two processes with one key apart
		Subject:      pkix.Name{CommonName: "caucus node"},
		NotBefore:    time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), // RFC 5280, 4.1.2.5: no expiry
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k.private)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("identity: make a certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("identity: read back the certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: k.private, Leaf: leaf}, nil
}

// OfCertificate returns the id and key that a peer's certificate stands for. TLS
// itself proves that the peer holds the key; the certificate's own signature,
// names and dates mean nothing here.
func OfCertificate(c *x509.Certificate) (ID, ed25519.PublicKey, error) {
	pub, ok := c.PublicKey.(ed25519.PublicKey)
	if !ok || len(pub) != ed25519.PublicKeySize {
		return "", nil, fmt.Errorf("identity: a node's certificate carries an Ed25519 key, got %s", c.PublicKeyAlgorithm)
	}
	return IDOf(pub), pub, nil
}
