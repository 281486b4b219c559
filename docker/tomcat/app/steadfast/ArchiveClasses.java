package steadfast;

import java.net.CookieManager;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import org.apache.catalina.startup.Bootstrap;

/**
 * Runs at image build only: starts Tomcat, makes each call of the contract once, and exits, upon which
 * the JVM writes down the classes that it loaded. A failing call fails the image's build.
 */
final class ArchiveClasses {
    private static final HttpClient CLIENT = HttpClient.newBuilder().cookieHandler(new CookieManager()).build();

    private ArchiveClasses() {}

    public static void main(String[] arguments) throws Exception {
        Bootstrap bootstrap = new Bootstrap();
        bootstrap.init();
        bootstrap.start();
        for (String manager : new String[] {"8081", "8082", "8083"}) {
            String root = "http://127.0.0.1:" + manager;
            expect(200, root, "GET", "/health", "");
            expect(404, root, "GET", "/session", "");
            expect(200, root, "POST", "/session", "{\"owner\":\"s1\",\"bytes\":100}");
            expect(200, root, "POST", "/session/ops", "{\"op\":\"1.1\"}");
            expect(200, root, "GET", "/session", "");
            expect(200, root, "GET", "/internals", "");
            expect(204, root, "POST", "/session/log-out", "{}");
        }
        bootstrap.stop();
        System.exit(0);
    }

    private static void expect(int status, String root, String method, String path, String body) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(root + path))
                .method(method, HttpRequest.BodyPublishers.ofString(body)).build();
        HttpResponse<String> response = CLIENT.send(request, HttpResponse.BodyHandlers.ofString());
        if (response.statusCode() != status) {
            throw new IllegalStateException(method + " " + path + " at " + root + " answered "
                    + response.statusCode() + " instead of " + status + ": " + response.body());
        }
    }
}
