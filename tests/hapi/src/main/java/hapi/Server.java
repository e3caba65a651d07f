package hapi;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.IValidationSupport;
import ca.uhn.fhir.interceptor.api.IInterceptorService;
import ca.uhn.fhir.jpa.api.config.JpaStorageSettings;
import ca.uhn.fhir.jpa.api.config.JpaStorageSettings.ClientIdStrategyEnum;
import ca.uhn.fhir.jpa.api.dao.IFhirSystemDao;
import ca.uhn.fhir.jpa.provider.JpaCapabilityStatementProvider;
import ca.uhn.fhir.jpa.provider.JpaConformanceProviderDstu2;
import ca.uhn.fhir.jpa.provider.JpaSystemProvider;
import ca.uhn.fhir.jpa.provider.dstu3.JpaConformanceProviderDstu3;
import ca.uhn.fhir.jpa.search.DatabaseBackedPagingProvider;
import ca.uhn.fhir.parser.StrictErrorHandler;
import ca.uhn.fhir.rest.server.RestfulServer;
import ca.uhn.fhir.rest.server.provider.ResourceProviderFactory;
import ca.uhn.fhir.rest.server.util.ISearchParamRegistry;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import org.apache.catalina.Context;
import org.apache.catalina.LifecycleException;
import org.apache.catalina.LifecycleState;
import org.apache.catalina.Wrapper;
import org.apache.catalina.connector.Connector;
import org.apache.catalina.startup.Tomcat;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;
import org.springframework.util.FileSystemUtils;

/** One FHIR server of one release: the storage, the REST servlet over it, and Tomcat around both. */
final class Server {

    private static final String ADDRESS = "127.0.0.1";

    private final Release release;
    private final int port;
    private final Set<String> flags;

    Server(Release release, int port, Set<String> flags) {
        this.release = release;
        this.port = port;
        this.flags = flags;
    }

    /** The base address of the server, which has answered once. */
    String start() throws IOException, InterruptedException, LifecycleException {
        AnnotationConfigApplicationContext beans = new AnnotationConfigApplicationContext();
        beans.registerBean(JpaStorageSettings.class, this::settings);
        beans.register(release.configuration, Storage.class);
        beans.refresh();
        String base = "http://" + ADDRESS + ":" + listen(servlet(beans)) + release.path;
        ask(base + "/metadata");
        return base;
    }

    private JpaStorageSettings settings() {
        JpaStorageSettings settings = new JpaStorageSettings();
        if (!flags.contains("--cache-searches")) {
            settings.setReuseCachedSearchResultsForMillis(null);
        }
        if (flags.contains("--no-update-as-create")) {
            settings.setResourceClientIdStrategy(ClientIdStrategyEnum.NOT_ALLOWED);
        }
        return settings;
    }

    private RestfulServer servlet(AnnotationConfigApplicationContext beans) {
        FhirContext fhir = beans.getBean(FhirContext.class);
        if (!flags.contains("--lenient")) {
            fhir.setParserErrorHandler(new StrictErrorHandler());
        }
        RestfulServer servlet = new RestfulServer(fhir);
        servlet.setInterceptorService(beans.getBean(IInterceptorService.class));
        servlet.registerProviders(beans.getBean(ResourceProviderFactory.class).createProviders());
        servlet.registerProvider(beans.getBean(JpaSystemProvider.class));
        servlet.setPagingProvider(beans.getBean(DatabaseBackedPagingProvider.class));
        servlet.setServerConformanceProvider(conformance(servlet, beans));
        return servlet;
    }

    @SuppressWarnings("unchecked")
    private Object conformance(RestfulServer servlet, AnnotationConfigApplicationContext beans) {
        IFhirSystemDao<?, ?> system = beans.getBean(IFhirSystemDao.class);
        JpaStorageSettings settings = beans.getBean(JpaStorageSettings.class);
        ISearchParamRegistry parameters = beans.getBean(ISearchParamRegistry.class);
        return switch (release) {
            case DSTU2 -> new JpaConformanceProviderDstu2(
                    servlet,
                    (IFhirSystemDao<ca.uhn.fhir.model.dstu2.resource.Bundle, ca.uhn.fhir.model.dstu2.composite.MetaDt>)
                            system,
                    settings);
            case STU3 -> new JpaConformanceProviderDstu3(
                    servlet,
                    (IFhirSystemDao<org.hl7.fhir.dstu3.model.Bundle, org.hl7.fhir.dstu3.model.Meta>) system,
                    settings,
                    parameters);
            default -> new JpaCapabilityStatementProvider(
                    servlet, system, settings, parameters, beans.getBean("myJpaValidationSupport", IValidationSupport.class));
        };
    }

    /** The port that Tomcat listens on. It only logs what goes wrong with a port or a servlet, so both are asked. */
    private int listen(RestfulServer servlet) throws IOException, LifecycleException {
        Path folder = Files.createTempDirectory("hapi-");
        Runtime.getRuntime().addShutdownHook(new Thread(() -> FileSystemUtils.deleteRecursively(folder.toFile())));
        Tomcat tomcat = new Tomcat();
        tomcat.setBaseDir(folder.toString());
        Connector connector = new Connector();
        connector.setPort(port);
        connector.setProperty("address", ADDRESS);
        connector.setProperty("relaxedQueryChars", "|");
        tomcat.setConnector(connector);
        Context context = tomcat.addContext("", folder.toString());
        Wrapper wrapper = Tomcat.addServlet(context, "fhir", servlet);
        wrapper.setLoadOnStartup(1);
        wrapper.addMapping(release.path + "/*");
        Timing.of(context, release.path + "/*");
        tomcat.start();
        if (connector.getState() != LifecycleState.STARTED) {
            throw new IOException("Nothing can listen on port " + port + ".");
        }
        return connector.getLocalPort();
    }

    private static void ask(String address) throws IOException, InterruptedException {
        HttpRequest request = HttpRequest.newBuilder(URI.create(address)).build();
        HttpResponse<String> answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
        if (answer.statusCode() != 200) {
            throw new IOException("The server answers with " + answer.statusCode() + ": " + answer.body());
        }
    }
}
