package steadfast;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import org.apache.catalina.ContainerServlet;
import org.apache.catalina.Wrapper;

/** GET /health: this node takes requests; with the cluster members that it sees. */
public final class HealthServlet extends HttpServlet implements ContainerServlet {
    private static final long serialVersionUID = 1L;
    private transient Wrapper wrapper;

    @Override
    public Wrapper getWrapper() {
        return wrapper;
    }

    @Override
    public void setWrapper(Wrapper wrapper) {
        this.wrapper = wrapper;
    }

    @Override
    protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
        JsonObject body = Reply.fromThisNode();
        JsonArray members = new JsonArray();
        Internals.members(Internals.contextOf(wrapper)).forEach(members::add);
        body.add("members", members);
        Reply.send(response, 200, body);
    }
}
