package referee;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.IValidationSupport;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.hl7.fhir.common.hapi.validation.support.PrePopulatedValidationSupport;
import org.hl7.fhir.r5.model.ElementDefinition;
import org.hl7.fhir.r5.model.ElementDefinition.TypeRefComponent;
import org.hl7.fhir.r5.model.Enumerations;
import org.hl7.fhir.r5.model.StructureDefinition;

/**
 * A release that nothing official exists for yet: its imaging resources by their element lists, as specializations
 * of R5's DomainResource. Data types and all other resources are R5's.
 */
final class NewerRelease {

    private static final String BASE = "http://hl7.org/fhir/";
    private static final Pattern TYPE = Pattern.compile("(\\w+)(?:\\((.+)\\))?");

    private NewerRelease() {}

    static IValidationSupport r6(FhirContext context) {
        PrePopulatedValidationSupport own = new PrePopulatedValidationSupport(context);
        for (Map.Entry<String, JsonElement> resource : Facts.read("r6.json").entrySet()) {
            own.addStructureDefinition(structure(resource.getKey(), resource.getValue().getAsJsonObject()));
        }
        return own;
    }

    private static StructureDefinition structure(String name, JsonObject facts) {
        StructureDefinition structure = new StructureDefinition();
        structure.setUrl(BASE + "StructureDefinition/" + name);
        structure.setName(name);
        structure.setType(name);
        structure.setStatus(Enumerations.PublicationStatus.ACTIVE);
        structure.setFhirVersion(Enumerations.FHIRVersion._5_0_0);
        structure.setKind(StructureDefinition.StructureDefinitionKind.RESOURCE);
        structure.setAbstract(false);
        structure.setBaseDefinition(BASE + "StructureDefinition/DomainResource");
        structure.setDerivation(StructureDefinition.TypeDerivationRule.SPECIALIZATION);
        ElementDefinition root = structure.getDifferential().addElement();
        root.setId(name);
        root.setPath(name);
        root.setMin(0);
        root.setMax("*");
        for (Map.Entry<String, JsonElement> rule : facts.getAsJsonObject("invariants").entrySet()) {
            root.addConstraint()
                    .setKey(rule.getKey())
                    .setSeverity(ElementDefinition.ConstraintSeverity.ERROR)
                    .setHuman(rule.getKey())
                    .setExpression(rule.getValue().getAsString())
                    .setSource(structure.getUrl());
        }
        for (JsonElement row : facts.getAsJsonArray("elements")) {
            element(structure.getDifferential().addElement(), name, row.getAsJsonArray());
        }
        return structure;
    }

    /** One row: path below the resource, cardinality, type, binding (strength and value set, or empty). */
    private static void element(ElementDefinition element, String resource, JsonArray row) {
        String path = resource + "." + row.get(0).getAsString();
        String[] cardinality = row.get(1).getAsString().split("\\.\\.");
        element.setId(path);
        element.setPath(path);
        element.setMin(Integer.parseInt(cardinality[0]));
        element.setMax(cardinality[1]);
        Matcher type = TYPE.matcher(row.get(2).getAsString());
        if (!type.matches()) {
            throw new IllegalStateException("not a type: " + row);
        }
        TypeRefComponent reference = element.addType().setCode(type.group(1));
        if (type.group(2) != null) {
            for (String target : type.group(2).split("\\|")) {
                reference.addTargetProfile(BASE + "StructureDefinition/" + target);
            }
        }
        String[] binding = row.get(3).getAsString().split(" ", 2);
        if (binding.length == 2) {
            element.getBinding().setStrength(Enumerations.BindingStrength.fromCode(binding[0])).setValueSet(binding[1]);
        }
    }
}
