package steadfast;

import com.google.gson.Gson;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.nio.charset.StandardCharsets;

/** JSON in and out. */
final class Reply {
    private static final Gson GSON = new Gson();
    private static final int MOST_BODY_BYTES = 64 * 1024;

    private Reply() {}

    /** A reply body that says who answered; the caller adds the rest. */
    static JsonObject fromThisNode() {
        JsonObject body = new JsonObject();
        body.addProperty("node", Node.NAME);
        body.addProperty("boot", Node.BOOT);
        return body;
    }

    static void error(HttpServletResponse response, int status, String error) throws IOException {
        JsonObject body = fromThisNode();
        body.addProperty("error", error);
        send(response, status, body);
    }

    /**
     * Neither flushes nor closes: synchronous replication comes before the reply only as long as the
     * response is uncommitted.
     */
    static void send(HttpServletResponse response, int status, JsonObject body) throws IOException {
        byte[] bytes = GSON.toJson(body).getBytes(StandardCharsets.UTF_8);
        response.setStatus(status);
        response.setContentType("application/json");
        response.setContentLength(bytes.length);
        response.getOutputStream().write(bytes);
    }

    /** The request's JSON object, or null where it is none. */
    static JsonObject read(HttpServletRequest request) throws IOException {
        byte[] bytes = request.getInputStream().readNBytes(MOST_BODY_BYTES);
        try {
            return GSON.fromJson(new String(bytes, StandardCharsets.UTF_8), JsonObject.class);
        } catch (JsonParseException notJson) {
            return null;
        }
    }

    static String text(JsonObject body, String key) {
        if (body == null || !body.has(key) || !body.get(key).isJsonPrimitive()) {
            return null;
        }
        return body.get(key).getAsString();
    }
}
