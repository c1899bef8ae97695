# Varnish before the app, for hits: in clear text, and without an access log, which another program of its own would write.
vcl 4.1;

backend app {
    .host = "@APP_HOST@";
    .port = "@APP_PORT@";
}

sub vcl_recv {
    set req.http.X-Request-Id = req.xid;
}

sub vcl_deliver {
    set resp.http.X-Request-Id = req.http.X-Request-Id;
}
