# One static binary on an empty image. The build stage uses nothing but sh, mkdir
# and go, so that any image with a Go toolchain can stand in for it.
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY . .
ARG VERSION=dev
# The module and build caches live in BuildKit, so a change of code rebuilds in seconds.
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -buildvcs=false -trimpath -ldflags="-s -w -X main.version=${VERSION}" -o /out/caucus ./cmd/caucus \
    && mkdir -p /out/state

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/caucus /caucus
# A named volume takes owner and mode from here the first time it is mounted.
COPY --from=build --chown=65532:65532 /out/state /state
COPY configs/*.yaml /configs/
USER 65532:65532
VOLUME /state
ENTRYPOINT ["/caucus"]
CMD ["serve"]
