package steadfast;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;

/** GET /health: this node takes requests; with the cluster members that it sees. */
public final class HealthServlet extends CatalinaServlet {
    private static final long serialVersionUID = 1L;

    @Override
    protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
        JsonObject body = Reply.fromThisNode();
        JsonArray members = new JsonArray();
        Internals.members(context()).forEach(members::add);
        body.add("members", members);
        Reply.send(response, 200, body);
    }
}
