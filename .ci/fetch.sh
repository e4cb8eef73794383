# What the tests need besides the Rust toolchain, for .ci/run, whose working directory is the root of the repository.
#
# Packages that bring a service, or of which one file is wanted, are unpacked below target/ and not installed. It is
# fetched as root on Debian; elsewhere what is there already is used.

can_fetch() {
    [[ "$(id -u)" == 0 ]] && command -v apt-get > /dev/null
}

# In Debian's own place of packages, once.
updated=
update() {
    [[ -n "$updated" ]] || apt-get -qq -o Acquire::Retries=3 update
    updated=1
}

download() {
    apt-get -qq -o Acquire::Retries=3 -o APT::Sandbox::User=root download "$@"
    local package
    for package in ./*.deb; do
        dpkg -x "$package" . && rm "$package"
    done
}

install() {
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Acquire::Retries=3 install --no-install-recommends "$@" > /dev/null
}

# Where nobody reads what a run says, a test that is left out is a failure.
missing() {
    echo "there is no $1: $2" >&2
    [[ -z "${CI:-}" ]] || exit 1
}

# The alert rules are judged by Prometheus' own promtool, which comes with a service.
promtool="$(command -v promtool || echo "$PWD/target/promtool/usr/bin/promtool")"
if [[ ! -x "$promtool" ]] && can_fetch; then
    update && mkdir -p target/promtool && (cd target/promtool && download prometheus) || echo "promtool cannot be fetched" >&2
fi
if [[ -x "$promtool" ]]; then
    export YIZHAN_PROMTOOL="$promtool"
else
    missing promtool "the alert rules are not checked"
fi

# What the shell prints is compared with Debian's own Erlang. Its start script looks for the system under /usr, so another
# one names the place where it lies.
erl="$PWD/target/erlang/erl"
if ! command -v erl > /dev/null && [[ ! -x "$erl" ]] && can_fetch; then
    update && mkdir -p target/erlang && (
        cd target/erlang
        download erlang-base
        cat > erl << 'SCRIPT'
#!/bin/sh
ROOTDIR="$(cd "$(dirname "$0")" && pwd)/usr/lib/erlang"
BINDIR="$(echo "$ROOTDIR"/erts-*/bin)"
EMU=beam
PROGNAME=erl
export ROOTDIR BINDIR EMU PROGNAME
exec "$BINDIR/erlexec" -boot "$ROOTDIR/bin/start_clean" "$@"
SCRIPT
        chmod +x erl
    ) || echo "erl cannot be fetched" >&2
fi
if [[ -x "$erl" ]]; then
    export YIZHAN_ERL="$erl"
elif ! command -v erl > /dev/null; then
    missing erl "the shell is not compared with a real one"
fi

# The relay is tried with ffmpeg, and with nginx as an RTMP server, which comes with a service; the libraries that it needs
# are those of ffmpeg and of the base system.
nginx="$PWD/target/rtmp/usr/sbin/nginx"
nginx_rtmp="$PWD/target/rtmp/usr/lib/nginx/modules/ngx_rtmp_module.so"
if ! command -v ffmpeg > /dev/null && can_fetch; then
    update && install ffmpeg || echo "ffmpeg cannot be fetched" >&2
fi
if [[ ! -x "$nginx" || ! -f "$nginx_rtmp" ]] && can_fetch; then
    update && mkdir -p target/rtmp && (cd target/rtmp && download nginx libnginx-mod-rtmp) || echo "nginx cannot be fetched" >&2
fi
if command -v ffmpeg > /dev/null && [[ -x "$nginx" && -f "$nginx_rtmp" ]]; then
    export YIZHAN_FFMPEG="$(command -v ffmpeg)" YIZHAN_NGINX="$nginx" YIZHAN_NGINX_RTMP="$nginx_rtmp"
else
    missing "ffmpeg, or no nginx with RTMP" "the relay is not tried with them"
fi

# The pages are tried in a real browser: Debian's headless build is the smallest that there is.
find_chromium() {
    command -v chromium-headless-shell || command -v chromium || true
}
chromium="${YIZHAN_CHROMIUM:-$(find_chromium)}"
if [[ -z "$chromium" ]] && can_fetch; then
    update && install chromium-headless-shell fonts-liberation || echo "chromium cannot be fetched" >&2
    chromium="$(find_chromium)"
fi
if [[ -n "$chromium" ]]; then
    export YIZHAN_CHROMIUM="$chromium"
else
    missing chromium "the pages are not tried"
fi

# The JavaScript client's own tests run in Node 20 or later. Where the distribution's is older, its npm fetches one.
export PATH="$PWD/target/node/node_modules/node/bin:$PATH"
node_is_new() {
    [[ "$(node --version 2> /dev/null)" =~ ^v([0-9]+) ]] && ((BASH_REMATCH[1] >= 20))
}
if ! node_is_new && can_fetch; then
    update && install nodejs || echo "node cannot be fetched" >&2
fi
if ! node_is_new && can_fetch; then
    update && install npm && npm install --silent --no-save --prefix target/node node@20 > /dev/null || echo "Node 20 cannot be fetched" >&2
fi
node_is_new || missing "Node 20" "the JavaScript client is not tried"

# The REST API is tried against its own description by a tool that Python fetches into target/.
has_venv() {
    python3 -c 'import ensurepip, venv' 2> /dev/null
}
if ! has_venv && can_fetch; then
    update && install python3 python3-venv || echo "Python cannot be fetched" >&2
fi
has_venv || missing "python3 with venv" "the REST API is not tried against its description"
