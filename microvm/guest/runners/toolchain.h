/* Where compile.c and link.c meet. */
#ifndef FAAS_TOOLCHAIN_H
#define FAAS_TOOLCHAIN_H

#define PLACE          "/tmp/toolchain"
#define OUTPUT         "/work/output"
#define LINK_ARGUMENTS PLACE "/arguments" /* read by the waiting linker */
#define LINK_STATUS    PLACE "/status"    /* its exit code, one byte */
#define GO_ROOT        "/usr/lib/go-1.19"

#endif
