package referee;

import ca.uhn.fhir.context.support.IValidationSupport;
import java.io.InputStream;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import javax.xml.stream.XMLInputFactory;
import javax.xml.stream.XMLStreamException;
import javax.xml.stream.XMLStreamReader;
import org.hl7.fhir.dstu2.model.ElementDefinition;
import org.hl7.fhir.dstu2.model.ElementDefinition.ElementDefinitionConstraintComponent;
import org.hl7.fhir.dstu2.model.Extension;
import org.hl7.fhir.dstu2.model.StringType;
import org.hl7.fhir.dstu2.model.StructureDefinition;
import org.hl7.fhir.dstu2.utils.ToolingExtensions;
import org.hl7.fhir.instance.model.api.IBaseResource;

/**
 * DSTU2 writes its invariants in XPath, which the validator does not run. Most have a twin in STU3, of the same key
 * in the same definition, written in FHIRPath: it is handed to the validator in the extension that it looks in.
 */
final class OldInvariants {

    private static final List<String> STU3 = List.of(
            "/org/hl7/fhir/dstu3/model/profile/profiles-resources.xml",
            "/org/hl7/fhir/dstu3/model/profile/profiles-types.xml");

    private OldInvariants() {}

    static void express(IValidationSupport dstu2) {
        Map<String, String> twins = new HashMap<>();
        STU3.forEach(path -> collect(path, twins));
        for (IBaseResource each : dstu2.<IBaseResource>fetchAllStructureDefinitions()) {
            StructureDefinition structure = (StructureDefinition) each;
            for (ElementDefinition element : structure.getSnapshot().getElement()) {
                for (ElementDefinitionConstraintComponent rule : element.getConstraint()) {
                    String twin = twins.get(element.getPath().split("\\.")[0] + " " + rule.getKey());
                    if (twin != null) {
                        rule.addExtension(new Extension()
                                .setUrl(ToolingExtensions.EXT_EXPRESSION)
                                .setValue(new StringType(twin)));
                    }
                }
            }
        }
    }

    /** Adds `Type key` -> expression for every constraint of a bundle of definitions. */
    private static void collect(String path, Map<String, String> twins) {
        try (InputStream stream = OldInvariants.class.getResourceAsStream(path)) {
            XMLStreamReader reader = XMLInputFactory.newFactory().createXMLStreamReader(stream);
            String element = "";
            String key = null;
            while (reader.hasNext()) {
                if (reader.next() != XMLStreamReader.START_ELEMENT) {
                    continue;
                }
                String value = reader.getAttributeValue(null, "value");
                switch (reader.getLocalName()) {
                    case "path" -> element = value;
                    case "constraint" -> key = null;
                    case "key" -> key = value;
                    case "expression" -> twins.putIfAbsent(element.split("\\.")[0] + " " + key, value);
                    default -> { }
                }
            }
        } catch (java.io.IOException | XMLStreamException failure) {
            throw new IllegalStateException(path, failure);
        }
    }
}
