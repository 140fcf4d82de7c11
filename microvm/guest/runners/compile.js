'use strict';
/*
 * The waiting TypeScript compiler: loaded, and warm from having compiled something.
 *
 * It runs as the job's user. It takes the types out of /work/main.ts, which leaves /work/output/main.js;
 * types are not checked. What is not TypeScript is told on stderr as tsc tells it, with exit code 1.
 * Descriptor 3 brings the request, descriptor 4 takes the exit code: see mailbox.h.
 */
const fs = require('fs');
const ts = require('/usr/share/nodejs/typescript');

const REQUEST = 3;
const ANSWER = 4;
const SOURCE = '/work/main.ts';
const PROGRAM = '/work/output/main.js';

/* Imports stay imports, as in JavaScript; only what exists in no ES module makes it CommonJS. */
function moduleKind(source) {
  const file = ts.createSourceFile('main.ts', source, ts.ScriptTarget.ES2022);
  const names = ['require', '__dirname', '__filename'].some((name) => file.identifiers.has(name));
  const statements = file.statements.some((node) => ts.isImportEqualsDeclaration(node) || node.isExportEquals);
  return names || statements ? ts.ModuleKind.CommonJS : ts.ModuleKind.ESNext;
}

function compile(source) {
  return ts.transpileModule(source, {
    fileName: 'main.ts',
    reportDiagnostics: true,
    compilerOptions: {
      target: ts.ScriptTarget.ES2022,
      module: moduleKind(source),
      esModuleInterop: true,
      experimentalDecorators: true,
      newLine: ts.NewLineKind.LineFeed,
    },
  });
}

function describe(diagnostic) {
  const text = `error TS${diagnostic.code}: ${ts.flattenDiagnosticMessageText(diagnostic.messageText, '\n')}\n`;
  if (!diagnostic.file) return text;
  const { line, character } = diagnostic.file.getLineAndCharacterOfPosition(diagnostic.start);
  return `main.ts:${line + 1}:${character + 1} - ${text}`;
}

/* The exit code. */
function run() {
  const { outputText, diagnostics } = compile(fs.readFileSync(SOURCE, 'utf8'));
  if (diagnostics.length > 0) {
    fs.writeSync(2, diagnostics.map(describe).join(''));
    return 1;
  }
  fs.writeFileSync(PROGRAM, outputText);
  return 0;
}

function warmUp() {
  const good = `
    import * as fs from 'fs';
    import { join, type ParsedPath } from 'path';
    export interface Shape<T extends object = {}> { readonly name: string; area?(): number; [key: string]: unknown }
    type Pair<A, B> = [A, B] | { first: A; second: B };
    enum Color { Red = 1, Green = Red << 1, Blue = 'b'.length }
    namespace Inner { export const value = 1; }
    abstract class Base<T> implements Shape {
      static count = 0;
      #secret = 1;
      constructor(public readonly name: string, protected items: T[] = []) { Base.count++; }
      abstract area(): number;
      get size(): number { return this.items.length; }
      async *each(): AsyncGenerator<T> { for (const item of this.items) yield await item; }
    }
    class Square extends Base<number> {
      constructor(private side: number) { super(\`square \${side}\`, [side]); }
      override area(): number { return this.side ** 2; }
    }
    function first<T>(list: readonly T[], otherwise?: T): T | undefined { return list[0] ?? otherwise; }
    const { a, ...rest } = { a: 1, b: [2, 3], 'c-d': /x+/g };
    let total: number = 0;
    for (const [key, value] of Object.entries(rest) as [string, any][]) total += value?.length || key.length;
    for (let i = 0; i < 3; i++) { if (i % 2 === 0) continue; else total -= i; }
    while (total < 0) total++;
    switch (Color.Red as Color) { case Color.Red: break; default: throw new Error('none'); }
    try { JSON.parse('{'); } catch (error: unknown) { console.error((error as Error).message); } finally { void 0; }
    const shapes = [new Square(2), new Square(3)].map((shape: Square): number => shape.area()!);
    console.log(first(['x']), total, new Map<string, number>([['k', 1]]), join('a', 'b'), fs.existsSync('/'));
    (async () => { await Promise.all([1, 2].map(async (n) => n)); })();
  `;
  const bad = 'const x: = 1;\nfunction (\nlet y = "a;\n';
  for (let n = 0; n < 3; n++) {
    fs.writeFileSync('/tmp/warm', compile(good).outputText + compile(bad).diagnostics.map(describe).join(''));
    compile(`const fs = require('fs'); ${fs.readFileSync('/tmp/warm', 'utf8')}`);
  }
  fs.unlinkSync('/tmp/warm');
}

function wait() {
  const answer = Buffer.from(['E'.charCodeAt(0), 0]);
  fs.writeSync(ANSWER, 'R');
  if (fs.readSync(REQUEST, Buffer.alloc(65536)) === 0) process.reallyExit(0);
  answer[1] = run();
  fs.writeSync(ANSWER, answer);
  fs.readSync(REQUEST, answer, 0, 1, null);
}

warmUp();
setImmediate(wait);
