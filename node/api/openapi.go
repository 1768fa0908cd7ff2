package api

import (
	_ "embed" // for the document

	"github.com/gin-gonic/gin"
)

// openAPI is the OpenAPI 3.1 document of all routes. It is written by hand and the only
// source there is: /docs is made of it, and tests hold it against the routes, the
// types of the replies and what a running node answers.
//
//go:embed openapi.json
var openAPI []byte

// mountOpenAPI adds the document, which is public, and the page made of it.
func (a *API) mountOpenAPI() {
	get := func(path string, h ...gin.HandlerFunc) {
		a.engine.GET(path, h...)
		a.engine.HEAD(path, h...)
	}
	get("/openapi.json", func(c *gin.Context) { write(c, openAPI, false) })
	docs := newDocs()
	get("/docs", a.local, a.fails(docs.page))
	get("/docs/style.css", a.local, docs.style)
}
