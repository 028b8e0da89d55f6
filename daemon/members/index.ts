// The membership machine on the network and the disk.
// Every statement is verified here, at the border, before the machine sees it.
// It decides nothing about members, and knows of documents only who may sign them.
export { createMembers, type Members } from './members.ts'
