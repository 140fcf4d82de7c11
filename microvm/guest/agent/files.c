/*
 * What goes onto the job's disk and comes off it. The disk is the job's: it may have put links,
 * pipes or folders anywhere, so nothing here follows a link, and files are laid with the job's rights.
 */
#include "agent.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OUTPUT        "output"
#define PATH_CAPACITY 1024
#define MOST_FILES    10000
#define MOST_DEPTH    64

static int work, entries;
static off_t empty_size; /* of a folder */

/* Each runner's first program gets a file that is there already, where the job cannot see it. */
static void prepare_entry(struct runner *runner)
{
    runner->entry_fd = CHECK(openat(entries, runner->entry, O_WRONLY | O_CREAT | O_CLOEXEC, runner->entry_mode));
    CHECK(fchown(runner->entry_fd, JOB_USER, JOB_USER));
    CHECK(fallocate(runner->entry_fd, FALLOC_FL_KEEP_SIZE, 0, 1));
}

void open_disk(void)
{
    struct stat about;
    work = CHECK(open(JOB_DISK "/work", O_PATH | O_DIRECTORY | O_CLOEXEC));
    entries = CHECK(open(JOB_DISK "/entries", O_PATH | O_DIRECTORY | O_CLOEXEC));
    for (size_t i = 0; i < runner_count; i++)
        if (runners[i].started)
            prepare_entry(&runners[i]);
    CHECK(fstatat(work, OUTPUT, &about, AT_SYMLINK_NOFOLLOW));
    empty_size = about.st_size;
}

static int open_beneath(int folder, const char *path, int flags, mode_t mode)
{
    struct open_how how = {
        .flags = flags | O_CLOEXEC,
        .mode = flags & O_CREAT ? mode : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    return syscall(SYS_openat2, folder, path, &how, sizeof how);
}

/* ---- onto the disk ---- */

/* The folder of a path, made as needed, and the rest of the path. */
static int open_parent(char *path, char **name)
{
    int folder = work;
    for (char *slash; (slash = strchr(path, '/')); path = slash + 1) {
        *slash = 0;
        mkdirat(folder, path, 0755);
        int next = open_beneath(folder, path, O_PATH | O_DIRECTORY, 0);
        int error = errno;
        if (folder != work)
            close(folder);
        errno = error;
        if (next < 0)
            return -1;
        folder = next;
    }
    *name = path;
    return folder;
}

static int create(int folder, const char *name, mode_t mode)
{
    int fd = open_beneath(folder, name, O_WRONLY | O_CREAT | O_EXCL, mode);
    if (fd < 0 && errno == EEXIST && unlinkat(folder, name, 0) == 0)
        fd = open_beneath(folder, name, O_WRONLY | O_CREAT | O_EXCL, mode);
    return fd;
}

/* Something to do to one name in a folder: 0, or -1 and errno. */
typedef int (*action)(int folder, const char *name, const struct blob *content, mode_t mode);

static int at_path(const struct blob *path, action act, const struct blob *content, mode_t mode)
{
    char text[PATH_CAPACITY + 1], *name;
    if (path->size > PATH_CAPACITY)
        broken("a file path is too long");
    memcpy(text, path->data, path->size);
    text[path->size] = 0;
    int folder = open_parent(text, &name);
    if (folder < 0)
        return -1;
    int done = act(folder, name, content, mode);
    int error = errno;
    if (folder != work)
        close(folder);
    errno = error;
    return done;
}

static int write_all(int fd, const struct blob *content)
{
    ssize_t count = 0;
    for (uint32_t done = 0; done < content->size && count >= 0; done += count)
        count = write(fd, content->data + done, content->size - done);
    return count < 0 ? -1 : 0;
}

static int write_here(int folder, const char *name, const struct blob *content, mode_t mode)
{
    int fd = spare_memory(content->size) ? create(folder, name, mode) : -1;
    if (fd < 0)
        return -1;
    int done = write_all(fd, content), error = errno;
    close(fd);
    errno = error;
    return done;
}

/* In place of what lies there; the host has checked that a path stays below the directory. 0 or -1 and errno. */
int lay_file(const struct blob *path, const struct blob *content, mode_t mode)
{
    return at_path(path, write_here, content, mode);
}

/* The program's file. 0 or -1 and errno. */
int lay_entry(struct runner *runner, const struct blob *code)
{
    struct blob path = { (const uint8_t *)runner->entry, strlen(runner->entry) };
    int fd = runner->entry_fd;
    if (fd < 0)
        return lay_file(&path, code, runner->entry_mode);
    int done = write_all(fd, code), error = errno;
    runner->entry_fd = -1;
    close(fd);
    errno = error;
    return done < 0 ? -1 : renameat(entries, runner->entry, work, runner->entry);
}

static int delete_here(int folder, const char *name, const struct blob *content, mode_t mode)
{
    (void)content, (void)mode;
    return unlinkat(folder, name, 0) == 0 ? 0 : errno == EISDIR ? unlinkat(folder, name, AT_REMOVEDIR) : -1;
}

static int write_and_mode_here(int folder, const char *name, const struct blob *content, mode_t mode)
{
    return write_here(folder, name, content, 0600) < 0 ? -1 : fchmodat(folder, name, mode, 0);
}

static int link_here(int folder, const char *name, const struct blob *content, mode_t mode)
{
    char target[4096];
    (void)mode;
    if (content->size >= sizeof target) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(target, content->data, content->size);
    target[content->size] = 0;
    unlinkat(folder, name, 0);
    return symlinkat(target, folder, name);
}

static int folder_here(int folder, const char *name, const struct blob *content, mode_t mode)
{
    (void)content;
    if (mkdirat(folder, name, 0700) < 0 && errno != EEXIST)
        return -1;
    return fchmodat(folder, name, mode, 0);
}

/* One step of a merge. */
int apply_change(const struct change *change, const struct blob *path, const struct blob *content)
{
    static const action actions[] = {
        [CHANGE_DELETE] = delete_here,
        [CHANGE_FILE] = write_and_mode_here,
        [CHANGE_LINK] = link_here,
        [CHANGE_FOLDER] = folder_here,
    };
    if (change->kind >= sizeof actions / sizeof *actions)
        broken("the request is out of range");
    return at_path(path, actions[change->kind], content, change->mode);
}

/* ---- off the disk: every folder's names in order ---- */

struct walk {
    char path[PATH_CAPACITY + 1];
    size_t length;
    int depth, incomplete;
    void (*visit)(struct walk *walk, int folder, const char *name, const struct stat *about);
    volatile uint8_t *next, *end;
    uint32_t count;
};

static int in_order(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static size_t read_names(struct walk *walk, int folder, char **names)
{
    size_t count = 0;
    DIR *entries = fdopendir(folder);
    for (struct dirent *entry; entries && (entry = readdir(entries));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (count == MOST_FILES) {
            walk->incomplete = 1;
            break;
        }
        names[count++] = strdup(entry->d_name);
    }
    if (entries)
        closedir(entries);
    qsort(names, count, sizeof *names, in_order);
    return count;
}

static void walk_folder(struct walk *walk, int folder);

static void walk_entry(struct walk *walk, int folder, const char *name)
{
    struct stat about;
    size_t before = walk->length, size = strlen(name);
    if (before + size > PATH_CAPACITY || fstatat(folder, name, &about, AT_SYMLINK_NOFOLLOW) < 0) {
        walk->incomplete = 1;
        return;
    }
    memcpy(walk->path + before, name, size + 1);
    walk->length += size;
    walk->visit(walk, folder, name, &about);
    if (S_ISDIR(about.st_mode)) {
        int inner = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (inner >= 0 && walk->depth < MOST_DEPTH && walk->length < PATH_CAPACITY) {
            walk->path[walk->length++] = '/';
            walk_folder(walk, inner);
        } else {
            walk->incomplete = 1;
            close(inner);
        }
    }
    walk->length = before;
    walk->path[before] = 0;
}

static void walk_folder(struct walk *walk, int folder)
{
    char **names = malloc(MOST_FILES * sizeof *names);
    int again = dup(folder); /* reading the names closes theirs */
    size_t count = read_names(walk, folder, names);
    walk->depth++;
    for (size_t i = 0; i < count; i++) {
        walk_entry(walk, again, names[i]);
        free(names[i]);
    }
    walk->depth--;
    free(names);
    close(again);
}

static int open_file(int folder, const char *name)
{
    return openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

/* ---- the output folder ---- */

static void take_file(struct walk *walk, int folder, const char *name, const struct stat *about)
{
    struct file_header header = { walk->length, 0, about->st_size };
    uint64_t needed = sizeof header + header.path_size + header.size;
    int fd = S_ISREG(about->st_mode) && walk->count < MOST_FILES && needed <= (uint64_t)(walk->end - walk->next)
                 ? open_file(folder, name) : -1;
    if (fd < 0) {
        walk->incomplete = 1;
        return;
    }
    volatile uint8_t *content = walk->next + sizeof header + header.path_size;
    uint64_t done = 0;
    for (ssize_t count; done < header.size && (count = read(fd, (void *)(content + done), header.size - done)) > 0;)
        done += count;
    close(fd);
    header.size = done;
    memcpy((void *)walk->next, &header, sizeof header);
    memcpy((void *)(walk->next + sizeof header), walk->path, header.path_size);
    walk->next = content + done;
    walk->count++;
}

static void take_output(struct walk *walk, int folder, const char *name, const struct stat *about)
{
    if (!S_ISDIR(about->st_mode))
        take_file(walk, folder, name, about);
}

static void begin_files(struct walk *walk)
{
    volatile uint8_t *start = mailbox + FILES_OFFSET;
    *walk = (struct walk){ .visit = take_output, .next = start, .end = start + FILES_CAPACITY };
}

static void end_files(const struct walk *walk)
{
    struct result *out = result();
    out->files_length = walk->next - (mailbox + FILES_OFFSET);
    out->files_count = walk->count;
    out->files_truncated = walk->incomplete;
}

/* The names in the output folder take up no room when there are none. */
void collect_output(void)
{
    struct stat about;
    struct result *out = result();
    if (fstatat(work, OUTPUT, &about, AT_SYMLINK_NOFOLLOW) < 0)
        return;
    if (!S_ISDIR(about.st_mode)) {
        out->files_truncated = 1;
        return;
    }
    if (about.st_size == empty_size)
        return;
    struct walk walk;
    begin_files(&walk);
    setfsuid(0); /* to read what the job has shut even to itself */
    int folder = openat(work, OUTPUT, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder >= 0)
        walk_folder(&walk, folder);
    setfsuid(JOB_USER);
    end_files(&walk);
}

/* ---- files that the host asks for ---- */

static struct walk export;

void start_export(void) { begin_files(&export); }

static void take_link(struct walk *walk, int folder, const char *name)
{
    char target[4096];
    ssize_t count = readlinkat(folder, name, target, sizeof target);
    struct file_header header = { walk->length, 0, count };
    if (count < 0 || sizeof header + walk->length + count > (size_t)(walk->end - walk->next)) {
        walk->incomplete = 1;
        return;
    }
    memcpy((void *)walk->next, &header, sizeof header);
    memcpy((void *)(walk->next + sizeof header), walk->path, walk->length);
    memcpy((void *)(walk->next + sizeof header + walk->length), target, count);
    walk->next += sizeof header + walk->length + count;
    walk->count++;
}

static int take_here(int folder, const char *name, const struct blob *path, mode_t mode)
{
    struct stat about;
    (void)mode;
    if (fstatat(folder, name, &about, AT_SYMLINK_NOFOLLOW) < 0)
        return -1;
    memcpy(export.path, path->data, path->size);
    export.length = path->size;
    setfsuid(0);
    if (S_ISLNK(about.st_mode))
        take_link(&export, folder, name);
    else
        take_file(&export, folder, name, &about);
    setfsuid(JOB_USER);
    end_files(&export);
    return 0;
}

int export_file(const struct blob *path) { return at_path(path, take_here, path, 0); }

/* ---- the manifest of a kept machine ---- */

/*
 * As many bytes are hashed as the disk holds: a file with holes, or one with thousands of names, can
 * say that it has more, and would keep the agent busy for ever.
 */
static uint64_t left_to_hash;

static uint64_t disk_bytes(void)
{
    struct statvfs disk;
    CHECK(fstatvfs(work, &disk));
    return (uint64_t)disk.f_blocks * disk.f_frsize;
}

static int hash_file(int folder, const char *name, uint64_t *size, uint8_t digest[32])
{
    static uint8_t buffer[65536];
    struct sha256 hash;
    int fd = *size <= left_to_hash ? open_file(folder, name) : -1;
    if (fd < 0)
        return -1;
    left_to_hash -= *size;
    sha256_start(&hash);
    for (ssize_t count; hash.size < *size && (count = read(fd, buffer, sizeof buffer)) > 0;)
        sha256_add(&hash, buffer, count);
    close(fd);
    *size = hash.size;
    sha256_finish(&hash, digest);
    return 0;
}

static int hash_link(int folder, const char *name, uint64_t *size, uint8_t digest[32])
{
    char target[4096];
    struct sha256 hash;
    ssize_t count = readlinkat(folder, name, target, sizeof target);
    if (count < 0)
        return -1;
    sha256_start(&hash);
    sha256_add(&hash, target, count);
    *size = count;
    sha256_finish(&hash, digest);
    return 0;
}

/* Well-formed and shortest, without surrogates: as every decoder takes it. */
static int is_utf8(const char *text)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    for (const uint8_t *next = (const uint8_t *)text; *next;) {
        int size = *next < 0x80 ? 1 : *next < 0xc0 ? 0 : *next < 0xe0 ? 2 : *next < 0xf0 ? 3 : *next < 0xf8 ? 4 : 0;
        uint32_t value = size == 1 ? *next : *next & (0x7f >> size);
        for (int i = 1; i < size; i++) {
            if ((next[i] & 0xc0) != 0x80)
                return 0;
            value = value << 6 | (next[i] & 0x3f);
        }
        if (size == 0 || (size > 1 && value < least[size]) || value > 0x10ffff || (value & 0xfffff800) == 0xd800)
            return 0;
        next += size;
    }
    return 1;
}

static void list_entry(struct walk *walk, int folder, const char *name, const struct stat *about)
{
    struct manifest_entry entry = { .mode = about->st_mode & 07777, .path_size = walk->length };
    size_t padded = (sizeof entry + entry.path_size + 7) & ~7UL;
    int done = -1;
    if (padded <= (size_t)(walk->end - walk->next) && is_utf8(walk->path)) {
        entry.kind = S_ISDIR(about->st_mode) ? ENTRY_FOLDER : S_ISLNK(about->st_mode) ? ENTRY_LINK : ENTRY_FILE;
        entry.size = S_ISREG(about->st_mode) ? about->st_size : 0;
        if (S_ISREG(about->st_mode))
            done = hash_file(folder, name, &entry.size, entry.sha256);
        else if (S_ISLNK(about->st_mode))
            done = hash_link(folder, name, &entry.size, entry.sha256);
        else
            done = S_ISDIR(about->st_mode) ? 0 : -1;
    }
    if (done < 0) {
        walk->incomplete = 1;
        return;
    }
    memcpy((void *)walk->next, &entry, sizeof entry);
    memcpy((void *)(walk->next + sizeof entry), walk->path, entry.path_size);
    memset((void *)(walk->next + sizeof entry + entry.path_size), 0, padded - sizeof entry - entry.path_size);
    walk->next += padded;
    walk->count++;
}

static int by_path(const void *left, const void *right)
{
    const struct manifest_entry *a = *(const struct manifest_entry *const *)left;
    const struct manifest_entry *b = *(const struct manifest_entry *const *)right;
    uint32_t size = a->path_size < b->path_size ? a->path_size : b->path_size;
    int order = memcmp(a + 1, b + 1, size);
    return order ? order : (a->path_size > b->path_size) - (a->path_size < b->path_size);
}

/* The walk goes folder by folder; the manifest is in the order of whole paths. */
static void sort_entries(const uint8_t *entries, uint32_t count, volatile uint8_t *target)
{
    const struct manifest_entry **order = malloc((count + 1) * sizeof *order);
    for (uint32_t i = 0; i < count; i++) {
        order[i] = (const struct manifest_entry *)entries;
        entries += (sizeof **order + order[i]->path_size + 7) & ~7UL;
    }
    qsort(order, count, sizeof *order, by_path);
    for (uint32_t i = 0; i < count; i++) {
        size_t padded = (sizeof **order + order[i]->path_size + 7) & ~7UL;
        memcpy((void *)target, order[i], padded);
        target += padded;
    }
    free(order);
}

/* What the manifest says is no longer so. */
void void_manifest(void) { *(volatile uint64_t *)(mailbox + MANIFEST_OFFSET) = 0; }

void write_manifest(void)
{
    struct manifest_header header = { .magic = MANIFEST_MAGIC };
    volatile uint8_t *target = mailbox + MANIFEST_OFFSET;
    uint8_t *entries = malloc(MANIFEST_CAPACITY);
    struct walk walk = { .visit = list_entry, .next = entries, .end = entries + MANIFEST_CAPACITY - sizeof header };
    left_to_hash = disk_bytes();
    uid_t before = setfsuid(0);
    walk_folder(&walk, CHECK(open(WORK, O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
    setfsuid(before);
    header.count = walk.count;
    header.incomplete = walk.incomplete;
    header.size = walk.next - entries;
    sort_entries(entries, header.count, target + sizeof header);
    memcpy((void *)target, &header, sizeof header);
    free(entries);
}
