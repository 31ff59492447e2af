/* Which accelerator is chosen: the decision alone, without a host. */
#include "vm/accel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct accel_host amd = { .choice = true, .kvm = true, .svm = true };
static const struct accel_host intel = { .choice = true, .kvm = true, .vmx = true };
static const struct accel_host none = { .choice = true, .why = "/dev/kvm: No such file" };
/* KVM offers it, but the engine cannot use it. */
static const struct accel_host unusable = { .choice = true,
					    .vmx = true,
					    .why = "no, says libvirt" };
static const struct accel_host bochs = { .choice = false };

static const struct row {
	const struct accel_host *host;
	const char *wanted;
	struct accel_wish wish;
	enum vm_accel accel;
	bool svm, vmx;
	const char *why;
} rows[] = {
	{ &amd, "auto", { 0 }, ACCEL_KVM, true, false, "KVM here offers guests SVM" },
	{ &amd, "auto", { .svm = "a" }, ACCEL_KVM, true, false, "KVM here offers guests SVM" },
	/* TCG would not help; what needs VMX is refused, or goes to Bochs. */
	{ &amd, "auto", { .vmx = "b" }, ACCEL_KVM, true, false, "KVM here offers guests SVM" },
	{ &amd, "kvm", { 0 }, ACCEL_KVM, true, false, "KVM here offers guests SVM" },
	{ &amd, "tcg", { 0 }, ACCEL_TCG, true, false, "asked for" },
	{ &intel, "auto", { 0 }, ACCEL_KVM, false, true, "KVM here offers guests VMX" },
	{ &intel, "auto", { .vmx = "b" }, ACCEL_KVM, false, true, "KVM here offers guests VMX" },
	{ &intel,
	  "auto",
	  { .svm = "a" },
	  ACCEL_TCG,
	  true,
	  false,
	  "a needs SVM; KVM here offers guests VMX" },
	/* Nothing offers both. */
	{ &intel, "auto", { "a", "b" }, ACCEL_KVM, false, true, "KVM here offers guests VMX" },
	/* Who says kvm gets it, or a refusal. */
	{ &intel, "kvm", { .svm = "a" }, ACCEL_KVM, false, true, "KVM here offers guests VMX" },
	{ &none, "auto", { 0 }, ACCEL_TCG, true, false, "/dev/kvm: No such file" },
	{ &none, "auto", { .vmx = "b" }, ACCEL_TCG, true, false, "/dev/kvm: No such file" },
	{ &none, "tcg", { 0 }, ACCEL_TCG, true, false, "asked for" },
	{ &unusable, "auto", { 0 }, ACCEL_TCG, true, false, "no, says libvirt" },
	{ &unusable, "auto", { .svm = "a" }, ACCEL_TCG, true, false, "no, says libvirt" },
	{ &bochs, "auto", { 0 }, ACCEL_NONE, true, true, "" },
	{ &bochs, "kvm", { 0 }, ACCEL_NONE, true, true, "" },
};

static void choices(void **state)
{
	struct accel got;
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct row *r = &rows[i];

		assert_int_equal(accel_choose(r->host, r->wanted, &r->wish, &got, &err), 0);
		assert_int_equal(got.accel, r->accel);
		assert_int_equal(got.svm, r->svm);
		assert_int_equal(got.vmx, r->vmx);
		assert_string_equal(got.why, r->why);
	}
}

static void refusals(void **state)
{
	const struct accel_wish nothing = { 0 };
	struct accel got;
	struct err err;

	(void)state;
	assert_int_equal(accel_choose(&none, "kvm", &nothing, &got, &err), -1);
	assert_int_equal(err.kind, ERR_UNSUPPORTED);
	assert_string_equal(err.msg, "--accel kvm: /dev/kvm: No such file");
	assert_int_equal(accel_choose(&unusable, "kvm", &nothing, &got, &err), -1);
	assert_string_equal(err.msg, "--accel kvm: no, says libvirt");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(choices), cmocka_unit_test(refusals) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
