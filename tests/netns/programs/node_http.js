// SPDX-License-Identifier: BSD-2-Clause
// node_http.js serve PORT FOLDER: a server on Node's default address, which is ::, dual-stack
// node_http.js fetch PORT HOST PATH: prints what it gets
"use strict";
const fs = require("fs");
const http = require("http");
const path = require("path");
const [how, port, ...rest] = process.argv.slice(2);

if (how === "serve") {
    http.createServer((request, response) => {
        const file = path.join(rest[0], path.basename(request.url));
        fs.createReadStream(file)
            .on("error", () => response.writeHead(404).end())
            .pipe(response);
    }).listen(Number(port));
} else {
    http.get({ host: rest[0], port: Number(port), path: rest[1] }, (response) => {
        if (response.statusCode !== 200)
            process.exit(1);
        response.pipe(process.stdout);
    }).on("error", (e) => {
        console.error(e.message);
        process.exit(1);
    });
}
