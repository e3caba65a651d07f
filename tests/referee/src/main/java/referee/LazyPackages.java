package referee;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.IValidationSupport;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.zip.GZIPInputStream;
import org.apache.commons.compress.archivers.tar.TarArchiveEntry;
import org.apache.commons.compress.archivers.tar.TarArchiveInputStream;
import org.hl7.fhir.instance.model.api.IBaseResource;

/**
 * R5's three packages, each definition parsed when it is asked for: parsing all of them, as the library would, takes
 * longer than judging thousands of resources.
 */
final class LazyPackages implements IValidationSupport {

    private static final List<String> PACKAGES = List.of(
            "/org/hl7/fhir/r5/packages/hl7.fhir.r5.core-5.0.0.tgz",
            "/org/hl7/fhir/r5/packages/hl7.fhir.uv.extensions.r5-1.0.0.tgz",
            "/org/hl7/fhir/r5/packages/hl7.terminology-5.1.0.tgz");
    private static final Set<String> WANTED = Set.of("StructureDefinition", "ValueSet", "CodeSystem");
    private static final String STRUCTURES = "http://hl7.org/fhir/StructureDefinition/";

    private final FhirContext context;
    private final Map<String, byte[]> texts = new HashMap<>();
    private final Map<String, IBaseResource> parsed = new HashMap<>();

    LazyPackages(FhirContext context) {
        this.context = context;
        PACKAGES.forEach(this::index);
    }

    @Override
    public FhirContext getFhirContext() {
        return context;
    }

    @Override
    public IBaseResource fetchStructureDefinition(String url) {
        return find("StructureDefinition", url.contains("/") ? url : STRUCTURES + url);
    }

    @Override
    public IBaseResource fetchValueSet(String url) {
        return find("ValueSet", url);
    }

    @Override
    public IBaseResource fetchCodeSystem(String url) {
        return find("CodeSystem", url);
    }

    /** The definitions of types: what is asked for all of them are the types' names. Profiles are found by URL. */
    @Override
    @SuppressWarnings("unchecked")
    public <T extends IBaseResource> List<T> fetchAllStructureDefinitions() {
        List<String> types = texts.keySet().stream().filter(key -> key.startsWith("type ")).sorted().toList();
        return types.stream()
                .map(key -> (T) find("StructureDefinition", STRUCTURES + key.substring("type ".length())))
                .toList();
    }

    private IBaseResource find(String kind, String canonical) {
        String key = kind + " " + canonical.split("\\|", 2)[0];
        byte[] text = texts.get(key);
        if (text == null) {
            return null;
        }
        return parsed.computeIfAbsent(
                key, any -> context.newJsonParser().parseResource(new String(text, StandardCharsets.UTF_8)));
    }

    private void index(String path) {
        Map<String, byte[]> files = filesOf(path);
        JsonObject index = JsonParser.parseString(new String(files.get(".index.json"), StandardCharsets.UTF_8))
                .getAsJsonObject();
        for (JsonElement each : index.getAsJsonArray("files")) {
            JsonObject file = each.getAsJsonObject();
            String kind = file.get("resourceType").getAsString();
            if (WANTED.contains(kind) && file.has("url")) {
                String url = file.get("url").getAsString();
                byte[] text = files.get(file.get("filename").getAsString());
                texts.putIfAbsent(kind + " " + url, text);
                if (file.has("type") && url.equals(STRUCTURES + file.get("type").getAsString())) {
                    texts.putIfAbsent("type " + file.get("type").getAsString(), text);
                }
            }
        }
    }

    private static Map<String, byte[]> filesOf(String path) {
        Map<String, byte[]> files = new HashMap<>();
        try (InputStream stream = LazyPackages.class.getResourceAsStream(path);
                TarArchiveInputStream archive = new TarArchiveInputStream(new GZIPInputStream(stream))) {
            for (TarArchiveEntry entry = archive.getNextEntry(); entry != null; entry = archive.getNextEntry()) {
                String name = entry.getName().substring(entry.getName().indexOf('/') + 1);
                if (!name.contains("/") && name.endsWith(".json")) {
                    files.put(name, archive.readAllBytes());
                }
            }
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        }
        return files;
    }
}
