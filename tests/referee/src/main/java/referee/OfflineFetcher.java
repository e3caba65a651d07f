package referee;

import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.hl7.fhir.r5.context.IWorkerContext;
import org.hl7.fhir.r5.elementmodel.Element;
import org.hl7.fhir.r5.elementmodel.Property;
import org.hl7.fhir.r5.model.CanonicalResource;
import org.hl7.fhir.r5.model.CanonicalType;
import org.hl7.fhir.r5.model.StructureDefinition;
import org.hl7.fhir.r5.utils.validation.IResourceValidator;
import org.hl7.fhir.r5.utils.validation.IValidatorResourceFetcher;

/**
 * Answers a reference `Type/id` with an empty resource of that type: enough for the validator to see whether the
 * type is among those that the element allows. Nothing else is fetched; every other URL counts as resolved.
 */
final class OfflineFetcher implements IValidatorResourceFetcher {

    private static final Pattern LITERAL = Pattern.compile("(?:https?://.*/)?([A-Z][A-Za-z]+)/[A-Za-z0-9.-]{1,64}");

    private final IWorkerContext worker;

    OfflineFetcher(IWorkerContext worker) {
        this.worker = worker;
    }

    @Override
    public Element fetch(IResourceValidator validator, Object about, String url) {
        Matcher literal = LITERAL.matcher(url);
        StructureDefinition type = literal.matches() ? worker.fetchTypeDefinition(literal.group(1)) : null;
        if (type == null) {
            return null;
        }
        Property property = new Property(worker, type.getSnapshot().getElement().get(0), type);
        Element stub = new Element(type.getType(), property).setType(type.getType());
        stub.setPath(type.getType());
        return stub;
    }

    @Override
    public boolean resolveURL(
            IResourceValidator validator,
            Object about,
            String path,
            String url,
            String type,
            boolean canonical,
            List<CanonicalType> targets) {
        return true;
    }

    @Override
    public byte[] fetchRaw(IResourceValidator validator, String url) {
        return new byte[0];
    }

    @Override
    public IValidatorResourceFetcher setLocale(Locale locale) {
        return this;
    }

    @Override
    public CanonicalResource fetchCanonicalResource(IResourceValidator validator, Object about, String url) {
        return null;
    }

    @Override
    public boolean fetchesCanonicalResource(IResourceValidator validator, String url) {
        return false;
    }

    @Override
    public Set<ResourceVersionInformation> fetchCanonicalResourceVersions(
            IResourceValidator validator, Object about, String url) {
        return Set.of();
    }
}
