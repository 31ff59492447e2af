/* The question: with KVM the host is part of it, else it is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "question.h"

#include <sys/utsname.h>

static json_t *ask(enum vm_accel accel, bool vmx)
{
	static const char *const none[] = { NULL };
	const struct session_options options = { .expect = none, .ignore = none };
	const struct session session = {
		.engine = &engine_libvirt,
		.accel = { .accel = accel, .vmx = vmx },
	};

	return question_new(&options, &session);
}

static void test_host(void **state)
{
	json_t *tcg = ask(ACCEL_TCG, false), *kvm = ask(ACCEL_KVM, false);
	json_t *vmx = ask(ACCEL_KVM, true), *again = ask(ACCEL_KVM, true);
	const json_t *host = json_object_get(json_object_get(vmx, "vm"), "host");
	struct utsname name;

	(void)state;
	assert_int_equal(uname(&name), 0);
	assert_null(json_object_get(json_object_get(tcg, "vm"), "host"));
	assert_string_equal(json_string_value(json_object_get(host, "release")), name.release);
	assert_true(json_is_true(json_object_get(host, "vmx")));
	assert_true(json_is_string(json_object_get(host, "cpu")));
	assert_false(json_equal(kvm, vmx));
	assert_true(json_equal(vmx, again));
	json_decref(tcg);
	json_decref(kvm);
	json_decref(vmx);
	json_decref(again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
