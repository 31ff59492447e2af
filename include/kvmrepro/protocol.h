/*
 * The agent protocol: what the guest's init and the harness say to each other over ttyS1, and the
 * plan that the harness leaves for init in the initramfs. Both sides include this header; the
 * grammar with examples is in docs/protocol.md.
 *
 * A frame is one line of ASCII, at most PROTO_FRAME_BYTES with its newline:
 *
 *	kvmrepro/1 TOKEN VERB [KEY=VALUE]...\n
 *
 * TOKEN is PROTO_TOKEN_CHARS hex digits that only init and the harness know; a line without it is
 * not a frame and is dropped and counted. Verbs and keys are [a-z_]+; in values every byte outside
 * 0x21..0x7e, and '%' itself, is %HH (upper-case hex). An empty value is allowed. Unknown verbs
 * and keys are ignored, so that a newer init can say more; another version number is an error.
 */
#ifndef KVMREPRO_PROTOCOL_H
#define KVMREPRO_PROTOCOL_H

#define PROTO_MAGIC       "kvmrepro/1"
#define PROTO_FRAME_BYTES 4096
#define PROTO_TOKEN_CHARS 32

/* The tty of the agent line in the guest. ttyS0 is the kernel's console, and only the kernel's. */
#define PROTO_TTY "/dev/ttyS1"

/*
 * Guest to harness, in the order in which they come:
 *
 *  hello   release= version= vendor= features= cpus=
 *          version is uname's (build number and date); vendor the CPUID vendor string; features a
 *          comma list out of svm, vmx; cpus those online.
 *  module  name= ok=1 | name= ok=0 why=
 *          one for each module line of the plan; name is the file's without .ko. One that is
 *          there already is ok.
 *  canary  ok=1 kvm= nested= | ok=0 why=
 *          kvm: kvm_amd or kvm_intel. nested: Y or N, whether KVM offers SVM or VMX to its guests.
 *          After ok=0 comes "done": nothing was run.
 *  ready   sandbox=
 *          waits for "go"; each reproducer that can run (without PID namespaces: the first one)
 *          stands before its first instruction.
 *          sandbox: "off" without a sandbox line in the plan; else "full", or what of it this
 *          kernel does not have, as in docs/sandbox.md
 *  skip    id= name= why=
 *          the reproducer cannot run here (needs vmx, CPU has svm); in place of start and end
 *  start   id= name=
 *  output  id= data=
 *          what it printed, stdout and stderr together
 *  stuck   [id=] name= pid= comm= state= stack=
 *          it was killed but this task of it has not gone yet: sent every second for each of
 *          them, up to 8. It may still go: "end" tells. Without id: the canary, or another of
 *          init's own helpers.
 *  dropped id= bytes=
 *          output that was not sent (past PROTO_OUTPUT_BYTES): the total, once, before "end"
 *  end     id= how= [code=] [why=] ms=
 *          how: exit (code: status), signal (code: number), timeout (its duration was over; it and
 *          all its descendants were killed and are gone), stuck (killed, and not gone after
 *          stuck_ms), failed (it came to no instruction of its own; why). With exit and signal its
 *          first process ended so, and all its others have ended too. ms: its time, without the
 *          killing.
 *  beat    n= ms=
 *          a heartbeat each PROTO_BEAT_MS of guest time, from hello to done; ms since boot
 *  done    nothing more is to come; init powers the guest off
 *  fatal   why=
 *          init itself cannot go on, and powers off
 *
 * Harness to guest:
 *
 *  go      seed=HEX [run=ID,ID...]
 *          run: which of the plan's reproducers, in this order; without it all. seed: fresh
 *          entropy (512 bytes at most), credited to the kernel's random number generator before
 *          the first one.
 */
#define PROTO_BEAT_MS      500
#define PROTO_OUTPUT_BYTES (64 * 1024)

/*
 * The plan: a text file in the initramfs, one "KEY VALUE..." a line, read and removed by init
 * before anything else runs. Paths hold no white space.
 *
 *  token       HEX
 *  detector_ms N
 *              hung tasks, soft lockups and RCU stalls are to be reported after this long (init
 *              sets the kernel's detectors to the nearest they accept); without it 20000
 *  stuck_ms    N
 *              how long a reproducer that was killed is waited for, counted from when its tasks
 *              last got fewer; without it 30000
 *  sandbox     PATH
 *              reproducers are kept from forging an outcome (docs/sandbox.md); PATH is a file of
 *              struct sock_filter that is loaded before each; without it they are not
 *  module      PATH [PARAMETERS]
 *              load in this order; a PATH that is not there is told as any other failure
 *  repro       NAME NEEDS DURATION_MS PATH
 *              NEEDS: any, svm or vmx; the n-th repro line has id n (from 0). PATH is not under
 *              /tmp or /dev/shm, which are fresh for each reproducer.
 */
#define PROTO_PLAN_PATH    "/kvmrepro/plan"
#define PROTO_PLAN_BYTES   (64 * 1024)
#define PROTO_MAX_REPROS   64
#define PROTO_SANDBOX_PATH "/kvmrepro/sandbox"

/* Exit status of a reproducer that says itself that this kernel lacks what it needs (the value
 * that automake's test protocol uses for "skip"). Any other status is the reproducer's own affair:
 * it is reported and never decides an outcome. */
#define REPRO_EXIT_UNSUPPORTED 77

#endif
