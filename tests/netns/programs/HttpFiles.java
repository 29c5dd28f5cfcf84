// SPDX-License-Identifier: BSD-2-Clause
// HttpFiles serve PORT FOLDER: com.sun.net.httpserver on its default address, which is ::, dual-stack
// HttpFiles fetch URL: prints what java.net.http.HttpClient gets
import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Executors;

public class HttpFiles {
    static void serve(int port, Path folder) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress(port), 0);
        server.createContext("/", exchange -> {
            Path file = folder.resolve(Path.of(exchange.getRequestURI().getPath()).getFileName());
            exchange.sendResponseHeaders(200, Files.size(file));
            try (var out = exchange.getResponseBody()) {
                Files.copy(file, out);
            }
        });
        server.setExecutor(Executors.newFixedThreadPool(4));
        server.start();
    }

    static void fetch(String url) throws Exception {
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        HttpResponse<byte[]> got = client.send(HttpRequest.newBuilder(URI.create(url)).build(),
                HttpResponse.BodyHandlers.ofByteArray());
        if (got.statusCode() != 200)
            System.exit(1);
        System.out.write(got.body());
        System.out.flush();
    }

    public static void main(String[] a) throws Exception {
        if (a[0].equals("serve"))
            serve(Integer.parseInt(a[1]), Path.of(a[2]));
        else
            fetch(a[1]);
    }
}
