package api

import (
	"strings"

	"github.com/gin-gonic/gin"

	"caucus/node/web"
)

// page serves the dashboard, and assets what it is made of. Neither holds any data: the
// page asks for them as everybody does, with the key if it was opened from elsewhere.
func (a *API) page(c *gin.Context) { a.site.Serve(c.Writer, c.Request, web.Page) }

func (a *API) assets(c *gin.Context) {
	name := strings.TrimPrefix(c.Param("file"), "/")
	if name == web.Page || !a.site.Serve(c.Writer, c.Request, name) {
		a.fail(c, Problemf(NotFound, "the page has no file %q", shown(name)))
	}
}
