package steadfast;

import jakarta.servlet.http.HttpServlet;
import org.apache.catalina.ContainerServlet;
import org.apache.catalina.Context;
import org.apache.catalina.Wrapper;

/** A servlet that Tomcat lets look at its own objects. */
abstract class CatalinaServlet extends HttpServlet implements ContainerServlet {
    private static final long serialVersionUID = 1L;
    private transient Wrapper wrapper;

    @Override
    public final Wrapper getWrapper() {
        return wrapper;
    }

    @Override
    public final void setWrapper(Wrapper wrapper) {
        this.wrapper = wrapper;
    }

    final Context context() {
        return (Context) wrapper.getParent();
    }
}
