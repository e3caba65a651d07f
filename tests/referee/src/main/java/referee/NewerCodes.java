package referee;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.IValidationSupport;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.gson.JsonPrimitive;
import java.io.IOException;
import java.io.InputStream;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;
import javax.xml.stream.XMLInputFactory;
import javax.xml.stream.XMLStreamException;
import javax.xml.stream.XMLStreamReader;
import org.hl7.fhir.common.hapi.validation.support.PrePopulatedValidationSupport;
import org.hl7.fhir.instance.model.api.IBaseResource;

/**
 * Code systems that have grown since the libraries were filled: what they hold and the codes of a file of facts.
 *
 * <p>DICOM's is special. Some versions hold it as of 2015 and call it complete, some do not hold it at all: the
 * modalities that came later would be errors, or nonsense would pass. Here it is R4's, every modality and every title
 * of key objects, as a fragment: a code that is not in it is a warning.
 */
final class NewerCodes {

    private static final String DCM = "http://dicom.nema.org/resources/ontology/DCM";
    private static final String R4_CODES = "/org/hl7/fhir/r4/model/valueset/valuesets.xml";

    private NewerCodes() {}

    /** The grown code systems of some parts of the file of facts. */
    static IValidationSupport over(IValidationSupport official, String... parts) {
        FhirContext context = official.getFhirContext();
        PrePopulatedValidationSupport own = new PrePopulatedValidationSupport(context);
        JsonObject facts = Facts.read("codes.json");
        for (String part : parts) {
            for (Map.Entry<String, JsonElement> system : facts.getAsJsonObject(part).entrySet()) {
                JsonObject newer = system.getValue().getAsJsonObject();
                JsonObject grown = DCM.equals(system.getKey())
                        ? dicom(newer)
                        : grown(context, official.fetchCodeSystem(system.getKey()), newer);
                own.addCodeSystem(context.newJsonParser().parseResource(grown.toString()));
            }
        }
        return own;
    }

    private static JsonObject grown(FhirContext context, IBaseResource held, JsonObject newer) {
        JsonObject system =
                JsonParser.parseString(context.newJsonParser().encodeResourceToString(held)).getAsJsonObject();
        newer.entrySet().forEach(code -> system.getAsJsonArray("concept").add(concept(code.getKey(), code.getValue())));
        return system;
    }

    private static JsonObject dicom(JsonObject newer) {
        Map<String, JsonObject> concepts = new TreeMap<>(conceptsOfR4());
        newer.entrySet().forEach(code ->
                concepts.computeIfAbsent(code.getKey(), term -> concept(term, code.getValue())));
        JsonArray all = new JsonArray();
        concepts.values().forEach(all::add);
        JsonObject system = new JsonObject();
        system.addProperty("resourceType", "CodeSystem");
        system.addProperty("url", DCM);
        system.addProperty("status", "active");
        system.addProperty("content", "fragment");
        system.addProperty("caseSensitive", true);
        system.add("concept", all);
        return system;
    }

    private static JsonObject concept(String code, JsonElement display) {
        JsonObject concept = new JsonObject();
        concept.addProperty("code", code);
        concept.add("display", display);
        return concept;
    }

    /** DICOM's codes in R4's bundle of terminology, read as text: parsing all of it takes seconds. */
    private static Map<String, JsonObject> conceptsOfR4() {
        Map<String, JsonObject> concepts = new LinkedHashMap<>();
        try (InputStream stream = NewerCodes.class.getResourceAsStream(R4_CODES)) {
            XMLStreamReader reader = XMLInputFactory.newFactory().createXMLStreamReader(stream);
            boolean within = false;
            String code = null;
            while (reader.hasNext()) {
                if (reader.next() != XMLStreamReader.START_ELEMENT) {
                    continue;
                }
                String value = reader.getAttributeValue(null, "value");
                switch (reader.getLocalName()) {
                    case "CodeSystem", "ValueSet" -> within = false;
                    case "url" -> within = within || DCM.equals(value);
                    case "code" -> code = within ? value : null;
                    case "display" -> {
                        // A code of DICOM's own stands before its display; that of a property has none.
                        if (within && code != null) {
                            concepts.put(code, concept(code, new JsonPrimitive(value)));
                        }
                    }
                    default -> { }
                }
            }
        } catch (IOException | XMLStreamException failure) {
            throw new IllegalStateException(R4_CODES, failure);
        }
        return concepts;
    }
}
