package hapi;

import jakarta.servlet.FilterChain;
import jakarta.servlet.ServletException;
import jakarta.servlet.http.HttpFilter;
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import org.apache.catalina.Context;
import org.apache.catalina.startup.Tomcat;
import org.apache.tomcat.util.descriptor.web.FilterDef;
import org.apache.tomcat.util.descriptor.web.FilterMap;

/**
 * What the server's own work takes, as JSON at `/timing`, since it started: requests, the sum of their seconds, and the
 * seconds in which there was at least one ("busy"; less than the sum where requests overlap).
 */
final class Timing extends HttpFilter {

    private static final long serialVersionUID = 1;

    private long requests;
    private long nanoseconds;
    private long busy;
    private int inside;
    private long since;

    /** Measures what goes to a path of the context, and shows it. */
    static void of(Context context, String pattern) {
        Timing timing = new Timing();
        FilterDef definition = new FilterDef();
        definition.setFilterName("timing");
        definition.setFilter(timing);
        context.addFilterDef(definition);
        FilterMap map = new FilterMap();
        map.setFilterName("timing");
        map.addURLPattern(pattern);
        context.addFilterMap(map);
        Tomcat.addServlet(context, "timing", timing.page()).addMapping("/timing");
    }

    @Override
    protected void doFilter(HttpServletRequest request, HttpServletResponse response, FilterChain chain)
            throws IOException, ServletException {
        long began = enter();
        try {
            chain.doFilter(request, response);
        } finally {
            leave(began);
        }
    }

    private synchronized long enter() {
        long now = System.nanoTime();
        if (inside++ == 0) {
            since = now;
        }
        return now;
    }

    private synchronized void leave(long began) {
        long now = System.nanoTime();
        requests++;
        nanoseconds += now - began;
        if (--inside == 0) {
            busy += now - since;
        }
    }

    private synchronized String json() {
        return "{\"requests\":%d,\"seconds\":%s,\"busy\":%s}".formatted(requests, nanoseconds / 1e9, busy / 1e9);
    }

    private HttpServlet page() {
        return new HttpServlet() {
            private static final long serialVersionUID = 1;

            @Override
            protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
                response.setContentType("application/json");
                response.getWriter().print(json());
            }
        };
    }
}
