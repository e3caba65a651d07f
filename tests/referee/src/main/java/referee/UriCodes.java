package referee;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.ConceptValidationOptions;
import ca.uhn.fhir.context.support.IValidationSupport;
import ca.uhn.fhir.context.support.LookupCodeRequest;
import ca.uhn.fhir.context.support.ValidationSupportContext;
import java.util.regex.Pattern;

/**
 * The code system `urn:ietf:rfc:3986`: its codes are absolute URIs, among them OIDs and UUIDs, which have a form. What
 * is no URI is an error; an OID that only breaks its own form (a leading zero, as DICOM files have it) a warning.
 */
record UriCodes(FhirContext context) implements IValidationSupport {

    private static final String SYSTEM = "urn:ietf:rfc:3986";
    private static final Pattern ABSOLUTE = Pattern.compile("[A-Za-z][A-Za-z0-9+.-]*:[^\\s]+");
    private static final Pattern OID = Pattern.compile("urn:oid:[0-2](\\.(0|[1-9][0-9]*))+");
    private static final Pattern UUID =
            Pattern.compile("urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}");

    @Override
    public FhirContext getFhirContext() {
        return context;
    }

    @Override
    public boolean isCodeSystemSupported(ValidationSupportContext root, String system) {
        return SYSTEM.equals(system);
    }

    @Override
    public CodeValidationResult validateCode(
            ValidationSupportContext root,
            ConceptValidationOptions options,
            String system,
            String code,
            String display,
            String valueSet) {
        if (!SYSTEM.equals(system) || (valueSet != null && !valueSet.isBlank())) {
            return null;
        }
        if (code == null || !ABSOLUTE.matcher(code).matches()) {
            return wrong(IssueSeverity.ERROR, "Not an absolute URI: '" + code + "'");
        }
        if (code.startsWith("urn:oid:") && !OID.matcher(code).matches()) {
            return wrong(IssueSeverity.WARNING, "Not the form of an OID: '" + code + "'").setCode(code);
        }
        if (code.startsWith("urn:uuid:") && !UUID.matcher(code).matches()) {
            return wrong(IssueSeverity.ERROR, "Not the form of a UUID: '" + code + "'");
        }
        return new CodeValidationResult().setCode(code);
    }

    private static CodeValidationResult wrong(IssueSeverity severity, String text) {
        CodeValidationIssueCode kind = CodeValidationIssueCode.CODE_INVALID;
        return new CodeValidationResult()
                .setSeverity(severity)
                .setMessage(text)
                .addIssue(new CodeValidationIssue(text, severity, kind, CodeValidationIssueCoding.INVALID_CODE));
    }

    @Override
    public LookupCodeResult lookupCode(ValidationSupportContext root, LookupCodeRequest request) {
        return SYSTEM.equals(request.getSystem()) ? new LookupCodeResult().setFound(true) : null;
    }
}
