// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "tests/config/support.hpp"

using namespace edgeproxy::config;

// line:column+length severity rule: text | hint
TEST_CASE("what is wrong with a plan is said at its place: addresses, TLS, pools, routes", "[config][load]") {
    const auto [name, text, expected] = GENERATE(table<std::string, std::string, std::string>({
        {"port alone",
         "listen: 8080\n"
         "app: prog\n",
         "1:9+4 error bad-address: \"8080\" is not an address | write \":8080\"\n"},
        {"port too large",
         "listen: \":99999\"\n"
         "app: prog\n",
         "1:9+8 error bad-address: \":99999\" is not an address | write it like :443, 127.0.0.1:443, [::1]:443 or "
         "unix:/path\n"},
        {"IPv6 without brackets",
         "listen: \"::1\"\n"
         "app: prog\n",
         "1:9+5 error bad-address: \"::1\" is not an address | write [::1]:PORT\n"},
        {"range of addresses",
         "listen: \":8080\"\n"
         "app: prog\n"
         "client_ip: { trusted_proxies: [10.0.0.0/33] }\n",
         "3:32+11 error bad-cidr: \"10.0.0.0/33\" is not a range of addresses | write it like 10.0.0.0/8 or "
         "fd00::/8\n"},
        {"endpoint without a host",
         "listen: \":8080\"\n"
         "pools: { app: { endpoints: [\":8000\"] } }\n",
         "2:29+7 error bad-address: \":8000\" is no endpoint: host and port are needed | write 127.0.0.1:8000\n"},
        {"endpoint with a scheme that nobody speaks",
         "listen: \":8080\"\n"
         "pools: { app: { endpoints: [\"ftp://a:1\"] } }\n",
         "2:29+11 error bad-address: \"ftp://a:1\" begins with a scheme that nobody speaks | begin with http://, "
         "https:// or h2c://\n"},
        {"tls for endpoints without https",
         "listen: \":8080\"\n"
         "pools: { app: { endpoints: [\"a:1\"], tls: { insecure: true } } }\n",
         "2:37+3 error no-effect: \"tls\" needs an https:// endpoint | write endpoints like https://name:443\n"},
        {"certificate for endpoints without a key",
         "listen: \":8080\"\n"
         "pools: { app: { endpoints: [\"https://a:1\"], tls: { cert: a.pem } } }\n",
         "2:45+3 error missing-key: \"tls\" needs \"key\" as well | \n"},
        {"roots that nobody looks at",
         "listen: \":8080\"\n"
         "pools: { app: { endpoints: [\"https://a:1\"], tls: { ca: a.pem, insecure: true } } }\n",
         "2:73+4 error no-effect: with \"insecure\" nobody looks at \"ca\" | leave insecure out\n"},
        {"HTTP/2 over TLS without TLS",
         "listen: \":8080\"\n"
         "pools: { app: { endpoints: [\"a:1\"], protocol: h2 } }\n",
         "2:47+2 error bad-protocol: this protocol needs TLS, but not every endpoint is https:// | write https://, or "
         "protocol: h2c for HTTP/2 in plain text\n"},
        {"HTTP/2 in plain text over TLS",
         "listen: \":8080\"\n"
         "pools: { app: { endpoints: [\"https://a:1\"], protocol: h2c } }\n",
         "2:55+3 error bad-protocol: h2c is HTTP/2 without TLS, but there is an https:// endpoint | write protocol: "
         "h2\n"},
        {"endpoint twice",
         "listen: \":8080\"\n"
         "pools: { app: { endpoints: [\"a:1\", \"a:1\"] } }\n",
         "2:36+5 error address-twice: \"a:1\" is in this pool already | \n"},
        {"address twice",
         "listen: [\":8080\", \":8080\"]\n"
         "app: prog\n",
         "1:19+7 error address-twice: \":8080\" is taken already | in line 1\n"},
        {"a PROXY header from nobody who is trusted",
         "listeners: { a: { address: \":8080\", proxy_protocol: required } }\n"
         "app: prog\n",
         "1:53+8 error nobody-trusted: a PROXY header is believed from trusted proxies only, and there are none | "
         "write "
         "client_ip: { trusted_proxies: [...] }\n"},
        {"address of the metrics",
         "listen: \"127.0.0.1:9900\"\n"
         "app: prog\n",
         "1:1+6 error address-twice: \"127.0.0.1:9900\" is the address of the metrics | take another one, or write "
         "metrics: { listen: ... }\n"},
        {"certificate without a key",
         "listen: \":443\"\n"
         "tls: { cert: a.pem }\n"
         "app: prog\n",
         "2:8+4 error missing-key: \"tls.cert\" needs \"tls.key\" beside it | \n"},
        {"tls without a certificate",
         "listen: \":443\"\n"
         "tls: { hsts: 1y }\n"
         "app: prog\n",
         "2:1+3 error missing-key: \"tls\" has no certificate | write cert and key, certificates, dir, or dev: true\n"},
        {"tls: true",
         "listen: \":443\"\n"
         "tls: true\n"
         "app: prog\n",
         "2:6+4 error wrong-kind: \"tls\" must be a map with cert and key, or dev | write { cert: fullchain.pem, key: "
         "privkey.pem }\n"},
        {"dev and a certificate",
         "listen: \":443\"\n"
         "tls: { dev: true, cert: a, key: b }\n"
         "app: prog\n",
         "2:13+4 error written-twice: write either dev or certificates, not both | \n"},
        {"listener with TLS but no certificate",
         "listeners: { a: { address: \":443\", tls: true } }\n"
         "app: prog\n",
         "1:41+4 error missing-key: \"listeners.a\" speaks TLS, but there is no certificate | write tls: { cert: ..., "
         "key: ... }, or tls: dev\n"},
        {"h2 without TLS",
         "listeners: { a: { address: \":80\", protocols: [h2] } }\n"
         "app: prog\n",
         "1:35+9 error needs-tls: h2 needs tls: without it clients speak http/1.1 | write tls: true, or protocols: "
         "[http/1.1]\n"},
        {"certificates nobody uses",
         "listeners: { a: { address: \":80\" } }\n"
         "tls: dev\n"
         "app: prog\n",
         "2:1+3 warning unused-tls: no listener speaks TLS | write tls: true at a listener\n"},
        {"only a redirect",
         "listen: \":80\"\n"
         "tls: dev\n"
         "app: prog\n",
         "1:1+6 error no-listener: every listener only redirects: nothing serves the routes | with tls, ports 80 and "
         "8080 redirect: add \":443\", or write listeners in the long form\n"},
        {"redirect to nowhere",
         "listeners: { a: { address: \":81\" }, b: { address: \":80\", redirect: https } }\n"
         "app: prog\n",
         "1:68+5 warning redirect-nowhere: this listener redirects to https, but none speaks TLS here | \n"},
        {"nothing listens", "app: prog\n", "1:1+1 error missing-key: nothing listens | write listen: \":8080\"\n"},
        {"listen and listeners",
         "listen: \":8080\"\n"
         "app: prog\n"
         "listeners: { a: { address: \":80\" } }\n",
         "1:1+6 error written-twice: write either listen or listeners, not both | \n"},
        {"command and endpoints",
         "listen: \":8080\"\n"
         "pools: { a: { command: prog, endpoints: ['127.0.0.1:1'] } }\n",
         "2:30+9 error written-twice: \"pools.a\" has both command and endpoints | make it two pools\n"},
        {"neither command nor endpoints",
         "listen: \":8080\"\n"
         "pools: { a: { required: false } }\n",
         "2:10+1 error missing-key: \"pools.a\" has neither command nor endpoints | write command to start workers, or "
         "endpoints for servers that run already\n"},
        {"workers for endpoints",
         "listen: \":8080\"\n"
         "pools:\n"
         "  app:\n"
         "    endpoints: [\"127.0.0.1:8000\"]\n"
         "    workers: 2\n",
         "5:5+7 error no-effect: key \"workers\" needs \"command\": nothing is started for endpoints of others | \n"},
        {"resources and watch for endpoints",
         "listen: \":8080\"\n"
         "app:\n"
         "  endpoints: [\"127.0.0.1:8000\"]\n"
         "  resources: { nice: 1 }\n"
         "  watch: true\n",
         "4:3+9 error no-effect: key \"resources\" needs \"command\": nothing is started for endpoints of others | \n"
         "5:3+5 error no-effect: key \"watch\" needs \"command\": nothing is started for endpoints of others | \n"},
        {"a pattern that leaves the folder",
         "listen: \":8080\"\n"
         "app: { command: prog, watch: [\"*.py\", ../x.py] }\n",
         "2:39+7 error bad-pattern: \"../x.py\" is no pattern of files below the working directory | write true, or "
         "patterns like **/*.py\n"},
        {"CPUs the wrong way round",
         "listen: \":8080\"\n"
         "app: { command: prog, resources: { cpus: 3-1 } }\n",
         "2:42+3 error bad-cpus: \"3-1\" is no list of CPUs | write it like 0-3,6, or auto\n"},
        {"a nice that would need a right",
         "listen: \":8080\"\n"
         "app: { command: prog, resources: { nice: -5 } }\n",
         "2:42+2 error bad-number: \"-5\" is not a whole number | a plain number without a sign\n"},
        {"a passed socket as an endpoint",
         "listen: \"fd:http\"\n"
         "pools: { a: { endpoints: [\"fd:x\"] } }\n",
         "2:27+6 error bad-address: \"fd:x\" is no endpoint: host and port are needed | \n"},
        {"braces without quotes",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: {socket}\n",
         "3:3+7 error wrong-kind: \"app.command\" must be text or a list of words, not a map | quote it: "
         "\"{socket}\"\n"},
        {"quote not closed",
         "listen: \":8080\"\n"
         "app: \"prog 'x\"\n",
         "2:6+9 error bad-command: a quote is not closed | end it with '\n"},
        {"a shell",
         "listen: \":8080\"\n"
         "app: cd /srv && prog\n",
         "2:14+2 warning shell-syntax: \"&&\" is handed to the program: no shell is run | write sh -c '...' if you "
         "need one\n"},
        {"assignment",
         "listen: \":8080\"\n"
         "app: DEBUG=1 prog\n",
         "2:6+7 error command-flag: \"DEBUG=...\" is no program: no shell is run | write it under environment: "
         "DEBUG\n"},
        {"gunicorn -w 4",
         "listen: \":8080\"\n"
         "app: gunicorn -w 4 main:app\n",
         "2:15+2 error command-flag: \"-w\" would start processes that edgeproxy cannot see | take it out and write "
         "workers: 4\n"},
        {"gunicorn --workers=4",
         "listen: \":8080\"\n"
         "app: [gunicorn, --workers=4, \"main:app\"]\n",
         "2:17+11 error command-flag: \"--workers=4\" would start processes that edgeproxy cannot see | take it out "
         "and write workers: 4\n"},
        {"gunicorn --bind",
         "listen: \":8080\"\n"
         "app: gunicorn -b 0.0.0.0:80 main:app\n",
         "2:15+2 error command-flag: \"-b\" in the command of a managed pool | take it out: edgeproxy gives every "
         "worker its own socket\n"},
        {"gunicorn -t",
         "listen: \":8080\"\n"
         "app: gunicorn -t 30 main:app\n",
         "2:15+2 warning worker-timeout: \"-t\" makes gunicorn kill a worker that is busy for so long | take it out: "
         "hang.kill_after is for workers that hang, timeouts.response for long requests\n"},
        {"uvicorn --workers",
         "listen: \":8080\"\n"
         "app: uvicorn main:app --workers 4\n",
         "2:23+9 error command-flag: \"--workers\" would start processes that edgeproxy cannot see | take it out and "
         "write workers: 4\n"},
        {"uvicorn --reload",
         "listen: \":8080\"\n"
         "app: uvicorn --reload main:app\n",
         "2:14+8 error command-flag: \"--reload\" in the command of a managed pool | take it out: edgeproxy restarts "
         "workers\n"},
        {"uvicorn --port",
         "listen: \":8080\"\n"
         "app: uvicorn --port 8000 main:app\n",
         "2:14+6 error command-flag: \"--port\" in the command of a managed pool | take it out: edgeproxy gives every "
         "worker its own socket\n"},
        {"uvicorn --uds",
         "listen: \":8080\"\n"
         "app: \"/usr/bin/python3 -m uvicorn --uds /x main:app\"\n",
         "2:35+5 error command-flag: \"--uds\" in the command of a managed pool | take it out: edgeproxy gives every "
         "worker its own socket\n"},
        {"uvicorn --fd",
         "listen: \":8080\"\n"
         "app: uvicorn --fd 3 main:app\n",
         "2:14+4 error command-flag: \"--fd\" in the command of a managed pool | take it out: edgeproxy gives every "
         "worker its own socket\n"},
        {"daphne alone",
         "listen: \":8080\"\n"
         "app: daphne main:app\n",
         "2:6+15 error command-flag: daphne does not take the socket that edgeproxy made for it | add -u {socket} "
         "--proxy-headers to the command\n"
         "2:6+15 warning forwarded-ignored: daphne ignores X-Forwarded-*: the app sees scheme http and no client "
         "address | add --proxy-headers to the command\n"},
        {"daphne --fd",
         "listen: \":8080\"\n"
         "app: [daphne, --fd, \"{fd}\", --proxy-headers, \"main:app\"]\n",
         "2:15+4 error command-flag: daphne takes --fd for a TCP socket and resets every connection | write -u "
         "{socket} instead\n"},
        {"hypercorn alone",
         "listen: \":8080\"\n"
         "app: hypercorn main:app\n",
         "2:6+18 error command-flag: hypercorn does not take the socket that edgeproxy made for it | add -b fd://{fd} "
         "to the command\n"
         "2:6+18 warning forwarded-ignored: hypercorn ignores X-Forwarded-*: the app sees scheme http and no client "
         "address | use hypercorn's ProxyFixMiddleware, or another server\n"},
        {"unknown placeholder",
         "listen: \":8080\"\n"
         "app: \"prog {sockt}\"\n",
         "2:12+7 warning unknown-placeholder: {sockt} is no placeholder | did you mean {socket}?\n"},
        {"bind against the placeholder",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: \"prog {socket}\"\n"
         "  bind: tcp\n",
         "3:12+15 error bind-mismatch: {socket} in the command does not fit how the worker gets its socket | use one "
         "of {socket}, {fd} and {port}, and leave bind out\n"},
        {"too many processes by the environment",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: uvicorn main:app\n"
         "  environment: { WEB_CONCURRENCY: 4 }\n",
         "3:12+16 warning web-concurrency: WEB_CONCURRENCY makes every worker start processes that edgeproxy cannot "
         "see | take it out of the environment and write workers: N\n"},
        {"kept longer than the server",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: uvicorn main:app --timeout-keep-alive 5\n"
         "  keepalive: { idle_timeout: 30s }\n",
         "4:30+3 warning keepalive-too-long: connections are kept for 30s, but the server closes them after 5s | stay "
         "below, or raise the server's value\n"},
        {"health path",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: prog\n"
         "  health: healthz\n",
         "4:11+7 error bad-path: \"healthz\" is not a path | write it like /healthz\n"},
        {"name of a pool",
         "listen: \":8080\"\n"
         "pools: { 'a b': { command: prog } }\n",
         "2:10+5 error bad-name: \"a b\" cannot be a name | letters, digits, \"_\", \"-\" and \".\", at most 64\n"},
        {"env_file not there",
         "listen: \":8080\"\n"
         "app:\n"
         "  command: prog\n"
         "  env_file: /nowhere/env\n",
         "4:13+12 error no-file: cannot read \"/nowhere/env\": No such file or directory | \n"},
        {"unknown pool",
         "listen: \":8080\"\n"
         "pools:\n"
         "  app:\n"
         "    endpoints: [\"127.0.0.1:8000\"]\n"
         "routes:\n"
         "  - pool: ap\n",
         "6:11+2 error unknown-pool: pool \"ap\" is not defined | did you mean \"app\" (line 3)?\n"},
        {"no action",
         "listen: \":8080\"\n"
         "pools:\n"
         "  app:\n"
         "    endpoints: [\"127.0.0.1:8000\"]\n"
         "routes:\n"
         "  - path: /x\n",
         "6:5+1 error no-action: a route needs one of pool, redirect and respond | \n"},
        {"two actions",
         "listen: \":8080\"\n"
         "pools:\n"
         "  app:\n"
         "    endpoints: [\"127.0.0.1:8000\"]\n"
         "routes:\n"
         "  - pool: app\n"
         "    redirect: /y\n",
         "7:15+2 error two-actions: a route has exactly one of pool, redirect and respond | \n"},
        {"no slash",
         "listen: \":8080\"\n"
         "pools:\n"
         "  app:\n"
         "    endpoints: [\"127.0.0.1:8000\"]\n"
         "routes:\n"
         "  - pool: app\n"
         "    path: api\n",
         "7:11+3 error bad-path: \"api\" is not a path | write \"/api\"\n"},
        {"half a segment",
         "listen: \":8080\"\n"
         "pools:\n"
         "  app:\n"
         "    endpoints: [\"127.0.0.1:8000\"]\n"
         "routes:\n"
         "  - pool: app\n"
         "    path: /api*\n",
         "7:11+5 error bad-path: \"/api*\" is not a path | * and ** stand for whole segments\n"},
        {"host with a port",
         "listen: \":8080\"\n"
         "pools:\n"
         "  app:\n"
         "    endpoints: [\"127.0.0.1:8000\"]\n"
         "routes:\n"
         "  - pool: app\n"
         "    host: example.com:80\n",
         "7:11+14 error bad-host: \"example.com:80\" is not a host | only the name, without port\n"},
        {"star in the middle",
         "listen: \":8080\"\n"
         "pools:\n"
         "  app:\n"
         "    endpoints: [\"127.0.0.1:8000\"]\n"
         "routes:\n"
         "  - pool: app\n"
         "    host: \"www.*.com\"\n",
         "7:11+11 error bad-host: \"www.*.com\" is not a host | * stands in front only: \"*.example.com\"\n"},
        {"origins that no browser sends",
         "listen: \":8080\"\n"
         "pools:\n"
         "  app:\n"
         "    endpoints: [\"127.0.0.1:8000\"]\n"
         "routes:\n"
         "  - pool: app\n"
         "    websocket:\n"
         "      allowed_origins: [example.com, \"https://a/b\", \"https://a:443\", \"https://a.*\"]\n",
         "8:25+11 error bad-origin: \"example.com\" is not an origin | write it like https://example.com, with its "
         "scheme\n"
         "8:38+13 error bad-origin: \"https://a/b\" is not an origin | only scheme, host and port: "
         "https://example.com:8443\n"
         "8:53+15 error bad-origin: \"https://a:443\" is not an origin | browsers leave the usual port out\n"
         "8:70+13 error bad-origin: \"https://a.*\" is not an origin | * stands in front of the host only: "
         "https://*.example.com\n"},
        {"method in lower case",
         "listen: \":8080\"\n"
         "pools:\n"
         "  app:\n"
         "    endpoints: [\"127.0.0.1:8000\"]\n"
         "routes:\n"
         "  - pool: app\n"
         "    method: post\n",
         "7:13+4 error bad-method: \"post\" is not a method | write POST\n"},
        {"redirect without scheme",
         "listen: \":8080\"\n"
         "pools:\n"
         "  app:\n"
         "    endpoints: [\"127.0.0.1:8000\"]\n"
         "routes:\n"
         "  - pool: app\n"
         "  - redirect: example.com\n"
         "    host: a\n",
         "7:5+1 warning shadowed-route: route \"a\" never matches: \"app\" (line 6) takes all its requests | \n"
         "7:15+11 error bad-redirect: \"example.com\" is no place to redirect to | begin with https://, http:// or "
         "/\n"},
        {"redirect with status 200",
         "listen: \":8080\"\n"
         "pools:\n"
         "  app:\n"
         "    endpoints: [\"127.0.0.1:8000\"]\n"
         "routes:\n"
         "  - redirect: { to: /x, status: 200 }\n"
         "    path: /y\n"
         "  - pool: app\n",
         "6:33+3 error out-of-range: \"200\" is too small for \"status\" | at least 301\n"},
        {"redirect with status 305",
         "listen: \":8080\"\n"
         "pools:\n"
         "  app:\n"
         "    endpoints: [\"127.0.0.1:8000\"]\n"
         "routes:\n"
         "  - redirect: { to: /x, status: 305 }\n"
         "    path: /y\n"
         "  - pool: app\n",
         "6:33+3 error bad-status: 305 is no redirect | 301, 302, 303, 307 or 308\n"},
        {"unknown placeholder in a redirect",
         "listen: \":8080\"\n"
         "pools:\n"
         "  app:\n"
         "    endpoints: [\"127.0.0.1:8000\"]\n"
         "routes:\n"
         "  - redirect: \"https://{hots}/\"\n"
         "    path: /y\n"
         "  - pool: app\n",
         "6:15+17 error bad-redirect: {hots} is no placeholder here | there are {scheme} {host} {uri} {path} "
         "{query}\n"},
        {"prefix without a pool",
         "listen: \":8080\"\n"
         "pools:\n"
         "  app:\n"
         "    endpoints: [\"127.0.0.1:8000\"]\n"
         "routes:\n"
         "  - respond: 204\n"
         "    path: /y\n"
         "    strip_prefix: /y\n"
         "  - pool: app\n",
         "8:19+2 error no-effect: key \"strip_prefix\" needs \"pool\": nothing is forwarded here | \n"},
        {"name twice",
         "listen: \":8080\"\n"
         "pools:\n"
         "  app:\n"
         "    endpoints: [\"127.0.0.1:8000\"]\n"
         "routes:\n"
         "  - pool: app\n"
         "    name: a\n"
         "    path: /a\n"
         "  - pool: app\n"
         "    name: a\n",
         "10:11+1 error duplicate-name: the name \"a\" is taken already | in line 7\n"},
        {"shadowed",
         "listen: \":8080\"\n"
         "pools:\n"
         "  app:\n"
         "    endpoints: [\"127.0.0.1:8000\"]\n"
         "routes:\n"
         "  - pool: app\n"
         "  - pool: app\n"
         "    path: /x\n",
         "7:5+1 warning shadowed-route: route \"/x\" never matches: \"app\" (line 6) takes all its requests | \n"},
        {"several pools without routes",
         "listen: \":8080\"\n"
         "pools: { a: { command: prog }, b: { command: prog } }\n",
         "1:1+1 error missing-key: there is no route: every request would be answered 404 | write routes: with several "
         "pools it is not clear which one to take\n"},
        {"unused pool",
         "listen: \":8080\"\n"
         "pools: { a: { command: prog }, b: { command: prog } }\n"
         "routes: [{ pool: a }]\n",
         "2:32+1 warning unused-pool: no route leads to the pool \"b\" | \n"},
        {"weights",
         "listen: \":8080\"\n"
         "pools:\n"
         "  app:\n"
         "    endpoints: [\"127.0.0.1:8000\"]\n"
         "routes:\n"
         "  - pool: { app: 1 }\n",
         "6:5+4 error wrong-kind: \"routes[0].pool\" must be text, not a map | \n"},
        {"map for a list",
         "listen: \":8080\"\n"
         "pools:\n"
         "  app:\n"
         "    endpoints: [\"127.0.0.1:8000\"]\n"
         "routes: { pool: app }\n",
         "5:1+6 error wrong-kind: \"routes\" must be a list, not a map | \n"},
        {"field name",
         "listen: \":8080\"\n"
         "app: prog\n"
         "headers: { request_id: \"X Request\" }\n",
         "3:24+11 error bad-name: \"X Request\" cannot be the name of a field | \n"},
        {"metrics path",
         "listen: \":8080\"\n"
         "app: prog\n"
         "metrics: { path: /readyz }\n",
         "3:18+7 error bad-path: \"/readyz\" is taken | write /metrics\n"},
    }));
    INFO(name);
    CHECK(problems_of(text) == expected);
}
